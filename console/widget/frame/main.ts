/**
 * The page in the widget's frame: shows what the script on the customer's page tells it, and tells what the visitor does. It
 * has no origin, no storage, no cookies and no connection; the port that its parent gives it is all that it has.
 */
import type { FromFrame, ToFrame } from '../shared/between'
import './style.css'
import { View } from './view'

function hear(event: MessageEvent): void {
  const port = event.ports[0]
  if (event.source !== window.parent || event.data !== 'saler-chat' || !port) return
  window.removeEventListener('message', hear)
  let view: View | undefined
  port.onmessage = ({ data }: MessageEvent<ToFrame>) => {
    if (data.what === 'look') view ??= new View(data.look, (message: FromFrame) => port.postMessage(message))
    else if (data.what === 'talk') view?.show(data.talk)
    else view?.enter()
  }
}

window.addEventListener('message', hear)
