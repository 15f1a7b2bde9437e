/** What a chart shows, whatever draws it: categories along one side, and for each series one value a category. */

export const KINDS = [
  'line',
  'area',
  'bar',
  'rows',
  'stacked',
  'donut',
  'heatmap',
  'gauge',
  'histogram',
  'funnel',
] as const
export type Kind = (typeof KINDS)[number]

export type Unit = 'count' | 'seconds' | 'ratio'

export interface Series {
  name: string
  values: (number | null)[]
  /** Of the time before: drawn faintly, behind. */
  faint?: boolean
  /** Whatever the page needs when somebody picks a point of it. */
  key?: string | null
}

export interface Figure {
  kind: Kind
  unit: Unit
  /** What the categories are. */
  axis: string
  categories: string[]
  series: Series[]
  /** A gauge's end, and from which share of it on it is bad. */
  most?: number
}

export interface Point {
  series: number
  category: number
}

/** The sum of the values that are there. */
export const total = (values: readonly (number | null)[]): number =>
  values.reduce<number>((sum, value) => sum + (value ?? 0), 0)

export const isEmpty = (figure: Figure): boolean =>
  figure.series.length === 0 ||
  figure.categories.length === 0 ||
  figure.series.every((one) => one.values.every((value) => value === null || (value === 0 && figure.kind !== 'gauge')))

/** The same as rows, for those who do not see it and for files: a head, then a row a category. */
export function asTable(figure: Figure): { head: string[]; rows: (string | number | null)[][] } {
  return {
    head: [figure.axis, ...figure.series.map((one) => one.name)],
    rows: figure.categories.map((category, place) => [
      category,
      ...figure.series.map((one) => one.values[place] ?? null),
    ]),
  }
}
