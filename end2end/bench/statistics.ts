/** The value below which this many percent of the values are. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const index = Math.ceil((percent / 100) * sorted.length) - 1;
  return sorted[Math.max(0, index)] ?? Number.NaN;
}

/** To a tenth. */
export function round(value: number): number {
  return Math.round(value * 10) / 10;
}
