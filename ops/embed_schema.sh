#!/bin/sh
# Turns migrations into a C array, so that the program carries its schema with it.
# usage: embed_schema.sh schema/001_start.sql schema/blobs/001_blobs.sql … > schema_sql.c
# schema/NNN_name.sql belongs to tacit.db, schema/DB/NNN_name.sql to DB.db. Files come sorted.
# The version is set by the last statement of each, inside its transaction.
set -eu
echo '#include "coordinator/store/migrate.h"'
echo 'const struct store_migration store_migrations[] = {'
for file in "$@"; do
    base=$(basename "$file" .sql)
    number=$(echo "${base%%_*}" | sed 's/^0*//')
    case $number in
    '' | *[!0-9]*)
        echo "embed_schema.sh: $file: the name must be NNN_name.sql" >&2
        exit 1
        ;;
    esac
    database=$(basename "$(dirname "$file")")
    [ "$database" = schema ] && database=tacit
    printf '    {"%s", %s, "%s",\n' "$database" "$number" "${base#*_}"
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/     "/' -e 's/$/\\n"/' "$file"
    printf '     "PRAGMA user_version = %s;\\n"},\n' "$number"
done
echo '    {0, 0, 0, 0},'
echo '};'
