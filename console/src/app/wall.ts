/** Whether a page is shown without the shell's frame, as on a wall. */
import { useEffect } from 'react'
import { createStore } from 'zustand/vanilla'

export const wall = createStore<{ on: boolean }>()(() => ({ on: false }))

/** Takes the frame away as long as the component is there and `on`. */
export function useWall(on: boolean): void {
  useEffect(() => {
    wall.setState({ on })
    return () => wall.setState({ on: false })
  }, [on])
}
