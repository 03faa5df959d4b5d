# The dashboard's pictures in the documents, taken anew of a real run in Chromium.
.PHONY: screenshots
screenshots: all ## the dashboard's pictures in ops/docs/img
	@ops/deps.sh build test
	@mkdir -p ops/docs/img
	@PAGE_SCRIPT="tests/web/screenshots.mjs ops/docs/img" tests/system/page.sh
	@ls -l ops/docs/img/*.png
