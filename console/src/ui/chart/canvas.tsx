/** A figure, drawn by ECharts: only the parts of it that our figures need. Loaded with the first chart that is shown. */
import { BarChart, FunnelChart, GaugeChart, HeatmapChart, LineChart, PieChart } from 'echarts/charts'
import {
  AriaComponent,
  GridComponent,
  LegendComponent,
  LegendScrollComponent,
  TitleComponent,
  TooltipComponent,
  VisualMapContinuousComponent,
} from 'echarts/components'
import * as echarts from 'echarts/core'
import { CanvasRenderer } from 'echarts/renderers'
import { useEffect, useRef } from 'react'
import type { Figure, Point } from './figure'
import { nearest, optionOf, pointOf, type Words } from './option'
import { look, useTheme } from './theme'

echarts.use([
  AriaComponent,
  BarChart,
  CanvasRenderer,
  FunnelChart,
  GaugeChart,
  GridComponent,
  HeatmapChart,
  LegendComponent,
  LegendScrollComponent,
  LineChart,
  PieChart,
  TitleComponent,
  TooltipComponent,
  VisualMapContinuousComponent,
])

export interface CanvasProps {
  figure: Figure
  words: Words
  rtl: boolean
  scale: number
  onPick: ((point: Point) => void) | undefined
  /** Is given what makes a picture of the chart, as the address of its data. */
  onReady?: (picture: () => string) => void
}

export default function Canvas({ figure, words, rtl, scale, onPick, onReady }: CanvasProps) {
  const element = useRef<HTMLDivElement>(null)
  const chart = useRef<echarts.ECharts>(undefined)
  const theme = useTheme()
  const latest = useRef({ figure, onPick })
  latest.current = { figure, onPick }

  useEffect(() => {
    const at = element.current
    if (!at) return
    const one = echarts.init(at, undefined, { renderer: 'canvas' })
    chart.current = one
    one.on('click', (hit) => {
      const now = latest.current
      now.onPick?.(pointOf(now.figure, hit as { seriesIndex?: number; dataIndex?: number; value?: unknown }))
    })
    // Beside the lines and bars, too: the category under the pointer, and of its series the nearest.
    one.getZr().on('click', (event) => {
      const now = latest.current
      const at: [number, number] = [event.offsetX, event.offsetY]
      if (event.target || !now.onPick || !one.containPixel({ gridIndex: 0 }, at)) return
      const [x = 0, y = 0] = one.convertFromPixel({ gridIndex: 0 }, at) as number[]
      const point = nearest(now.figure, x, y)
      if (point) now.onPick(point)
    })
    const size = new ResizeObserver(() => one.resize())
    size.observe(at)
    return () => {
      size.disconnect()
      chart.current = undefined
      one.dispose()
    }
  }, [])

  useEffect(() => {
    // `theme` names the colours that `look` reads from the page.
    const colors = look(rtl, scale, theme)
    chart.current?.setOption(optionOf(figure, colors, words), { notMerge: true, lazyUpdate: true })
    onReady?.(() => chart.current?.getDataURL({ type: 'png', pixelRatio: 2, backgroundColor: colors.panel }) ?? '')
  }, [figure, words, rtl, scale, theme, onReady])

  return <div ref={element} dir="ltr" className={`size-full ${onPick ? 'cursor-pointer' : ''}`} aria-hidden />
}
