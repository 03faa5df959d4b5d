/* Answers of the API as the figures want them. */

export const attemptsOf = (value) => value;
export const partingOf = (value) => value;
export const costBarsOf = (value) => value;
