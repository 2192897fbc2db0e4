// Dialogues of npm's mqtt with a broker: one JSON line a finding, after a line that names the scenario.
//
//     mqtt_dialogues.mjs TOOLS TRANSPORT PORT VERSION USER PASSWORD SCENARIO...
//
// TOOLS is the folder with node_modules, TRANSPORT is tcp or ws. Judges nothing: tests/it/program/clients.rs knows what should be found, and
// expects the same of paho_dialogues.py. Exit code 1 and a reason on standard error when something never comes. No
// sleeps: each wait is for an event.

import { createRequire } from 'node:module'

const [tools, transport, port, version, USER, PASSWORD, ...scenarios] = process.argv.slice(2)
const mqtt = createRequire(`${tools}/`)('mqtt')
const V5 = version === '5'
const WAIT = 15_000
const FOREVER = 0xffffffff

function found(finding) {
  console.log(JSON.stringify(finding))
}

function give_up(reason) {
  console.error(reason)
  process.exit(1)
}

// Events that wait for whoever takes them, in order.
class Events {
  #waiting = []
  #takers = []

  put(event) {
    const taker = this.#takers.shift()
    taker ? taker(event) : this.#waiting.push(event)
  }

  take(what) {
    if (this.#waiting.length > 0) return Promise.resolve(this.#waiting.shift())
    return new Promise((resolve) => {
      const timer = setTimeout(() => give_up(`${what}: not within ${WAIT} ms`), WAIT)
      this.#takers.push((event) => {
        clearTimeout(timer)
        resolve(event)
      })
    })
  }
}

// A client whose events wait.
class Device {
  static scenario
  static of_scenario = []

  constructor(name, { username = USER, password = PASSWORD, keep = false, will, properties = {} } = {}) {
    this.name = name
    Device.of_scenario.push(this)
    this.answers = new Events()
    this.messages = new Events()
    this.ends = new Events()
    const v5 = { properties: { ...(keep ? { sessionExpiryInterval: FOREVER } : {}), ...properties } }
    this.client = mqtt.connect({
      host: '127.0.0.1',
      port: Number(port),
      protocol: transport === 'ws' ? 'ws' : 'mqtt',
      path: '/mqtt',
      protocolVersion: V5 ? 5 : 4,
      // One for each scenario: who comes back too often with one id is banned.
      clientId: name && `${Device.scenario} ${name}`,
      username: username ?? undefined,
      password: password ?? undefined,
      clean: !keep,
      will,
      reconnectPeriod: 0,
      ...(V5 ? v5 : {}),
    })
    this.client.on('connect', (answer) => this.answers.put({ code: 0, answer }))
    this.client.on('error', (error) => this.answers.put({ code: error.code, error }))
    this.client.on('message', (topic, payload, packet) => this.messages.put({ topic, payload, packet }))
    this.client.on('disconnect', (packet) => (this.told = packet.reasonCode))
    this.client.on('close', () => this.ends.put(this.told ?? null))
  }

  answer() {
    return this.answers.take(`${this.name}: CONNACK`)
  }

  // Whether a session was there.
  async enter() {
    const { code, answer, error } = await this.answer()
    if (code !== 0) give_up(`${this.name}: refused: ${error}`)
    return answer.sessionPresent
  }

  message() {
    return this.messages.take(`${this.name}: message`)
  }

  // All messages up to that with this payload, which is left out.
  async until(payload) {
    const came = []
    for (;;) {
      const message = await this.message()
      if (text(message) === payload) return came
      came.push(message)
    }
  }

  // Sends and waits for the last acknowledgement; its code.
  async publish(topic, payload, { qos = 1, retain = false, properties } = {}) {
    try {
      await within(`${this.name}: acknowledgement`, this.client.publishAsync(topic, payload, { qos, retain, properties }))
      return 0
    } catch (error) {
      return error.code ?? give_up(error)
    }
  }

  // The codes of SUBACK.
  subscribe(topic, options = {}) {
    return within(
      `${this.name}: SUBACK`,
      new Promise((resolve) => {
        this.client.subscribe(topic, { qos: 2, ...options }, (_, granted, packet) => resolve(packet.granted))
      }),
    )
  }

  async leave() {
    await within(`${this.name}: end`, this.client.endAsync())
  }

  // Ends the connection without DISCONNECT.
  async vanish() {
    this.client.stream.destroy()
    await this.ends.take(`${this.name}: end`)
  }
}

async function within(what, promise) {
  const timer = setTimeout(() => give_up(`${what}: not within ${WAIT} ms`), WAIT)
  try {
    return await promise
  } finally {
    clearTimeout(timer)
  }
}

async function enter(name, options) {
  const device = new Device(name, options)
  await device.enter()
  return device
}

function text({ payload }) {
  return payload.toString()
}

function same(one, other) {
  return JSON.stringify(one) === JSON.stringify(other)
}

const upTo = (count) => Array.from({ length: count }, (_, number) => number)

async function enter_and_leave(name, topic) {
  const device = new Device(name, { keep: true })
  const session_present = await device.enter()
  await device.subscribe(topic)
  await device.leave()
  return session_present
}

const dialogues = {
  async every_qos() {
    const [receiver, sender] = [await enter('receiver'), await enter('sender')]
    const granted = []
    for (const qos of upTo(3)) granted.push(...(await receiver.subscribe(`free/granted/${qos}`, { qos })))
    found({ granted })
    for (const sent of upTo(3)) {
      for (const granted of upTo(3)) {
        await sender.publish(`free/granted/${granted}`, `sent ${sent}`, { qos: sent })
        const message = await receiver.message()
        found({ topic: message.topic, payload: text(message), came: message.packet.qos })
      }
    }
    const large = Buffer.alloc(256 * 800, Buffer.from(upTo(256)))
    await sender.publish('free/granted/2', large)
    found({ large_is_the_same: (await receiver.message()).payload.equals(large) })
  },

  async burst() {
    // A window of two makes the broker hold messages back.
    const receiver = await enter('receiver', { properties: { receiveMaximum: 2 } })
    const sender = await enter('sender')
    await receiver.subscribe('free/burst/#')
    for (const qos of [1, 2]) {
      const codes = new Set()
      // The library does not keep to the broker's receive maximum (32) by itself.
      for (const start of upTo(10)) {
        const some = upTo(20).map((number) => String(20 * start + number))
        const acknowledged = some.map((number) => sender.publish('free/burst/x', number, { qos }))
        for (const code of await Promise.all(acknowledged)) codes.add(code)
      }
      const came = []
      for (const _ of upTo(200)) came.push(Number(text(await receiver.message())))
      found({ qos, in_order: same(came, upTo(200)), codes: [...codes] })
    }
    await sender.publish('free/burst/x', 'end')
    found({ too_many: (await receiver.until('end')).length })
  },

  async retained() {
    const [before, sender] = [await enter('before'), await enter('sender')]
    await before.subscribe('free/retained/#')
    for (const name of ['stays', 'goes']) {
      await sender.publish(`free/retained/${name}`, name, { retain: true })
      const message = await before.message()
      found({ topic: message.topic, payload: text(message), retain: message.packet.retain })
    }
    await sender.publish('free/retained/goes', '', { retain: true })
    const after = await enter('after')
    await after.subscribe('free/retained/#', { qos: 1 })
    await sender.publish('free/retained/end', 'end')
    for (const message of await after.until('end')) {
      const { retain, qos } = message.packet
      found({ topic: message.topic, payload: text(message), retain, qos })
    }
  },

  async will() {
    const witness = await enter('witness')
    await witness.subscribe('free/will/#')
    const will = { topic: 'free/will/mortal', payload: Buffer.from('gone'), qos: 2, retain: true }
    await (await enter('mortal', { will })).vanish()
    const late = await enter('late')
    for (const device of [witness, late]) {
      if (device === late) await late.subscribe('free/will/+')
      const message = await device.message()
      const { retain, qos } = message.packet
      found({ topic: message.topic, payload: text(message), qos, retain })
    }
  },

  async farewell() {
    const witness = await enter('witness')
    await witness.subscribe('free/farewell/#')
    const will = { topic: 'free/farewell/polite', payload: Buffer.from('gone'), qos: 1, retain: false }
    await (await enter('polite', { will })).leave()
    await witness.publish('free/farewell/x', 'end')
    found({ wills: (await witness.until('end')).length })
  },

  async session() {
    const sender = await enter('sender')
    found({ session_present: await enter_and_leave('sleeper', 'free/session/#') })
    for (const number of [1, 2, 3, 4]) {
      await sender.publish('free/session/x', `queued ${number}`, { qos: 1 + (number % 2) })
    }
    let sleeper = new Device('sleeper', { keep: true })
    found({ session_present: await sleeper.enter() })
    // Only within one QoS is the order that of the sender: this library shows QoS 2 after PUBREL.
    const queued = []
    for (const _ of upTo(4)) queued.push(await sleeper.message())
    queued.sort((one, other) => one.packet.qos - other.packet.qos)
    for (const message of queued) found({ payload: text(message), qos: message.packet.qos })
    // The connection breaks instead of being ended: the session stays all the same.
    await sleeper.vanish()
    await sender.publish('free/session/x', 'queued 5')
    sleeper = new Device('sleeper', { keep: true })
    found({ session_present: await sleeper.enter(), payload: text(await sleeper.message()) })
    await sleeper.leave()
    found({ session_present: await new Device('sleeper').enter() })
  },

  async refused() {
    for (const [who, username, password] of [
      ['wrong password', USER, `${PASSWORD}x`],
      ['no password', USER, null],
      ['unknown user', 'stranger', PASSWORD],
      ['nobody', null, null],
    ]) {
      found({ who, code: (await new Device('knocks', { username, password }).answer()).code })
    }
    const device = await enter('insider')
    for (const qos of [1, 2]) found({ publish: await device.publish('free/secret/x', 'no', { qos }) })
    const refused = await device.subscribe('free/secret/x')
    found({ subscribe: [...refused, ...(await device.subscribe('free/fine', { qos: 1 }))] })
    // Nothing of the above ended the connection, and a refused QoS 0 PUBLISH does not either.
    await device.publish('free/secret/x', 'no', { qos: 0 })
    await device.publish('free/fine', 'still here')
    found({ payload: text(await device.message()) })
  },

  async takeover() {
    const first = await enter('twin')
    const second = await enter('twin')
    found({ told: await first.ends.take('twin: end') })
    await second.subscribe('free/twin')
    await second.publish('free/twin', 'alive')
    found({ payload: text(await second.message()) })
  },

  async shared() {
    const members = [await enter('member 1'), await enter('member 2')]
    const sender = await enter('sender')
    for (const member of members) await member.subscribe('$share/group/free/shared/#', { qos: 1 })
    for (const number of upTo(20)) await sender.publish('free/shared/x', String(number))
    // The end of each member's share comes on a topic of its own, after everything else.
    for (const member of members) await member.subscribe('free/end', { qos: 1 })
    await sender.publish('free/end', 'end')
    const everything = []
    const idle = []
    for (const member of members) {
      const came = await member.until('end')
      if (came.length === 0) idle.push(member.name)
      everything.push(...came.map((message) => Number(text(message))))
    }
    everything.sort((one, other) => one - other)
    found({ each_once: same(everything, upTo(20)), idle })
  },

  async shared_away() {
    const names = ['member 1', 'member 2']
    const sender = await enter('sender')
    for (const name of names) await enter_and_leave(name, '$share/group/free/away/#')
    for (const number of upTo(6)) await sender.publish('free/away/x', String(number))
    const members = []
    for (const name of names) members.push(await enter(name, { keep: true }))
    for (const member of members) await member.subscribe('free/end', { qos: 1 })
    await sender.publish('free/end', 'end')
    const came = []
    for (const member of members) came.push(...(await member.until('end')).map((message) => Number(text(message))))
    found({ came: came.sort((one, other) => one - other) })
  },

  async all_properties() {
    const [receiver, sender] = [await enter('receiver'), await enter('sender')]
    await receiver.subscribe('free/properties', { qos: 1, properties: { subscriptionIdentifier: 7 } })
    await sender.publish('free/properties', '{}', {
      properties: {
        userProperties: { a: ['1', '3'], b: '2' },
        contentType: 'application/json',
        responseTopic: 'free/answer',
        correlationData: Buffer.from([0, 255]),
        payloadFormatIndicator: true,
        messageExpiryInterval: 100,
      },
    })
    const came = (await receiver.message()).packet.properties
    const identifiers = [came.subscriptionIdentifier].flat()
    found({
      user_properties: Object.entries(came.userProperties).flatMap(([name, values]) =>
        [values].flat().map((value) => [name, value]),
      ),
      content_type: came.contentType,
      response_topic: came.responseTopic,
      correlation_data: came.correlationData.toString('hex'),
      payload_format: Number(came.payloadFormatIndicator),
      subscription_identifiers: identifiers,
      expires_within_100: came.messageExpiryInterval > 0 && came.messageExpiryInterval <= 100,
    })
  },

  async topic_alias() {
    // The library resolves the aliases that the broker makes up.
    const receiver = await enter('receiver', { properties: { topicAliasMaximum: 5 } })
    await receiver.subscribe('free/alias/#')
    const sender = new Device('sender')
    const { answer } = await sender.answer()
    found({ topic_alias_maximum: answer.properties.topicAliasMaximum })
    for (const [topic, payload] of [
      ['free/alias/a', '1'],
      ['', '2'],
      ['free/alias/b', '3'],
      ['', '4'],
    ]) {
      await sender.publish(topic, payload, { properties: { topicAlias: 1 } })
      const message = await receiver.message()
      found({ topic: message.topic, payload: text(message) })
    }
  },

  async expiry() {
    const sender = await enter('sender')
    await enter_and_leave('sleeper', 'free/expiry/#')
    const expires = (seconds) => ({ properties: { messageExpiryInterval: seconds } })
    await sender.publish('free/expiry/x', 'short', expires(1))
    await sender.publish('free/expiry/x', 'long', expires(100))
    await sender.publish('free/expiry/x', 'endless')
    // Expires after the queued one: when it is gone, that is gone as well.
    await sender.publish('free/kept', 'short', { retain: true, ...expires(1) })
    const began = Date.now()
    const looks = await enter('looks')
    for (;;) {
      await looks.subscribe('free/kept', { qos: 1 })
      await looks.publish('free/kept', 'end')
      if ((await looks.until('end')).length === 0) break
      if (Date.now() - began > WAIT) give_up('a retained message outlives its expiry')
    }
    const sleeper = new Device('sleeper', { keep: true })
    await sleeper.enter()
    for (const _ of upTo(2)) {
      const message = await sleeper.message()
      const left = message.packet.properties?.messageExpiryInterval
      found({ payload: text(message), time_has_passed: left === undefined ? null : left < 100 })
    }
  },

  async options() {
    const [device, other] = [await enter('device'), await enter('other')]
    await other.publish('free/options/kept', 'kept', { retain: true })
    await device.subscribe('free/options/#', { qos: 1, nl: true, rap: true, rh: 2 })
    await device.publish('free/options/x', 'own')
    await other.publish('free/options/x', 'flagged', { retain: true })
    await other.publish('free/options/x', 'end')
    for (const message of await device.until('end')) found({ payload: text(message), retain: message.packet.retain })
  },

  async retain_handling() {
    const [device, sender] = [await enter('device'), await enter('sender')]
    await sender.publish('free/handling', 'kept', { retain: true })
    for (const [who, handling] of [
      [device, 2],
      [device, 1],
      [device, 0],
      [device, 0],
      [await enter('new'), 1],
    ]) {
      await who.subscribe('free/handling', { qos: 1, rh: handling })
      await sender.publish('free/handling', 'end')
      const came = (await who.until('end')).map((message) => [text(message), message.packet.retain])
      found({ handling, came })
    }
    // The last end came here too. Without Retain As Published the flag is not passed on.
    await device.until('end')
    await sender.publish('free/handling', 'flagged', { retain: true })
    const message = await device.message()
    found({ payload: text(message), retain: message.packet.retain })
  },

  async delayed_will() {
    const witness = await enter('witness')
    await witness.subscribe('free/delayed/#')
    const mortal = (name, seconds) => {
      const properties = { willDelayInterval: seconds }
      const will = { topic: `free/delayed/${name}`, payload: Buffer.from(name), qos: 1, retain: false, properties }
      return enter(name, { keep: true, will })
    }
    // It is back before its will is due; that of the other is due after that.
    await (await mortal('returns', 1)).vanish()
    await enter('returns', { keep: true })
    const staysAway = await mortal('stays away', 2)
    const began = Date.now()
    await staysAway.vanish()
    const message = await witness.message()
    found({ payload: text(message), after_delay: Date.now() - began >= 2000 })
    await witness.publish('free/delayed/x', 'end')
    found({ others: (await witness.until('end')).length })
  },

  async assigned_client_id() {
    const { code, answer } = await new Device('').answer()
    found({ code, assigned: answer.properties.assignedClientIdentifier.length > 0 })
  },
}

for (const scenario of scenarios) {
  found({ scenario })
  Device.scenario = scenario
  await dialogues[scenario]()
  for (const device of Device.of_scenario) await device.leave()
  Device.of_scenario = []
}
