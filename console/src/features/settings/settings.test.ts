import { describe, expect, it } from 'vitest'
import { checkAddress, checkNumber, checkSecret, checkSid, origins, tidyNumber } from './checks'
import { readable } from './letter'
import { may, mayGrant, ROLES } from './rights'
import { badShortcut, filled, pieces, unknown } from './template'
import { reach } from './webhook'
import { clashes, copied, minutes, open, type Period } from './week'

describe('a number that was pasted', () => {
  it.each([
    ['+1 (500) 555-0006', '+15005550006'],
    ['whatsapp:+962 79 000 0000', '+962790000000'],
    ['00962790000000', '+962790000000'],
    ['+٩٦٢٧٩٠٠٠٠٠٠٠', '+962790000000'],
    ['\u200e+962\u00a079 0000000', '+962790000000'],
  ])('%s is %s', (written, number) => {
    expect(tidyNumber(written)).toBe(number)
    expect(checkNumber(written)).toBeUndefined()
  })
  it('is refused if it is none', () => {
    expect(checkNumber('0790000000')).toBe('settings.check.number')
    expect(checkAddress(`MG${'a'.repeat(32)}`)).toBeUndefined()
    expect(checkAddress('MG12')).toBe('settings.check.address')
  })
})

describe('an account', () => {
  it('has a SID and a token of the right form', () => {
    expect(checkSid(`AC${'0'.repeat(32)}`)).toBeUndefined()
    expect(checkSid(`SK${'0'.repeat(32)}`)).toBe('settings.check.sid')
    expect(checkSecret('x'.repeat(15))).toBe('settings.check.secret')
    expect(checkSecret('x'.repeat(32))).toBeUndefined()
  })
})

describe('origins', () => {
  it('are taken one a line, without a path', () => {
    expect(origins('https://shop.example/\n http://a.example:8080')).toEqual({
      list: ['https://shop.example', 'http://a.example:8080'],
      wrong: undefined,
    })
    expect(origins('https://shop.example/cart').wrong).toBe('https://shop.example/cart')
    expect(origins('shop.example').wrong).toBe('shop.example')
    expect(origins('ftp://shop.example').wrong).toBe('ftp://shop.example')
  })
})

describe('a webhook', () => {
  it.each([
    ['https://hub.example/webhooks/twilio/1', 'public'],
    ['http://hub.example/x', 'plain'],
    ['http://127.0.0.1:8080/x', 'private'],
    ['https://localhost/x', 'private'],
    ['https://192.168.1.5/x', 'private'],
    ['https://172.20.0.3/x', 'private'],
    ['https://172.32.0.3/x', 'public'],
    ['http://[::1]:8080/x', 'private'],
    ['https://hub/x', 'private'],
    ['nonsense', 'private'],
  ] as const)('%s is %s', (address, found) => {
    expect(reach(address)).toBe(found)
  })
})

describe('rights', () => {
  it('are never given by those who do not have them', () => {
    for (const grantor of ROLES) {
      for (const grantee of ROLES) {
        if (!mayGrant(grantor, grantee)) continue
        for (const right of ['manageMembers', 'manageChannels', 'manageLabels', 'writeConversations'] as const) {
          expect(may(grantor, right) || !may(grantee, right), `${grantor} ${grantee} ${right}`).toBe(true)
        }
      }
    }
  })
  it('keep channels from analysts', () => {
    expect(may('analyst', 'readChannels')).toBe(false)
    expect(may('agent', 'manageChannels')).toBe(false)
  })
})

describe('a canned reply', () => {
  it('is filled in, with words for what is not known', () => {
    const template = 'Hi {{contact.first_name|there}}, {{ agent.name }} here. {{contact.email}} {{contact.phone|}}'
    expect(filled(template, { 'agent.name': 'Rana' })).toBe('Hi there, Rana here. {{contact.email}} {{contact.phone}}')
    expect(
      filled(template, { 'contact.first_name': 'Sara', 'agent.name': 'Rana', 'contact.email': 'a@b.c' }),
    ).toContain('Hi Sara, Rana here. a@b.c')
  })
  it('names the variables that there are not', () => {
    expect(unknown('{{contact.name}} {{order.number}}')).toEqual(['order.number'])
    expect(pieces('a {b} c')).toEqual([{ text: 'a {b} c' }])
  })
  it('has a shortcut in one word', () => {
    for (const good of ['hi', 'شكرا', 'a-b']) expect(badShortcut(good), good).toBe(false)
    for (const bad of ['', 'a b', 'a/b', 'x'.repeat(51)]) expect(badShortcut(bad), bad).toBe(true)
  })
})

describe('a week', () => {
  const period = (weekday: Period['weekday'], opens: string, closes: string): Period => ({ weekday, opens, closes })
  it('knows times', () => {
    expect(minutes('24:00')).toBe(1440)
    expect(minutes('24:01')).toBeUndefined()
    expect(minutes('09:60')).toBeUndefined()
    expect(minutes('')).toBeUndefined()
  })
  it('lets periods touch, not overlap', () => {
    expect(clashes([period('sunday', '09:00', '13:00'), period('sunday', '13:00', '18:00')]).size).toBe(0)
    expect([...clashes([period('sunday', '09:00', '13:00'), period('sunday', '12:00', '18:00')])]).toEqual(['sunday'])
  })
  it('runs past midnight, and from Saturday into Sunday', () => {
    const late = period('saturday', '20:00', '02:00')
    expect(open([late])).toBe(360)
    expect([...clashes([late, period('sunday', '01:00', '09:00')])].sort()).toEqual(['saturday', 'sunday'])
    expect(clashes([late, period('sunday', '02:00', '09:00')]).size).toBe(0)
    expect(open([period('monday', '00:00', '00:00')])).toBe(1440)
  })
  it('copies a day onto others', () => {
    const week = [period('sunday', '09:00', '17:00'), period('monday', '10:00', '12:00')]
    expect(copied(week, 'sunday', ['sunday', 'monday'])).toEqual([
      period('sunday', '09:00', '17:00'),
      period('monday', '09:00', '17:00'),
    ])
  })
})

describe('a dead letter', () => {
  const base64 = (text: string) => btoa(String.fromCharCode(...new TextEncoder().encode(text)))
  it('is shown as what it is', () => {
    expect(
      readable(base64('From=%2B962&Body=%D9%85%D8%B1%D8%AD%D8%A8%D8%A7'), 'application/x-www-form-urlencoded'),
    ).toBe('From = +962\nBody = مرحبا')
    expect(readable(base64('{"a":1}'), 'application/json')).toBe('{\n  "a": 1\n}')
    expect(readable(base64('{bad'), 'application/json')).toBe('{bad')
    expect(readable(btoa('\xff\x00'), 'text/plain')).toBe('ff 00')
  })
})
