// A plugin for the MQTT broker Portcullis: who logs in with the password of `[config]` is who it says,
// has topics of its own, and names devices in capitals.
//
// What the hooks mean is written in wit/deps/portcullis. An exception that is no plugin-error ends the
// instance and counts as a refusal. An option that is none is null: compare with `== null`.
import { get } from 'portcullis:plugin/config@0.1.0';

let password;

export const plugin = {
  describe: () => ({ name: 'first-plugin', version: '0.1.0' }),

  // Once per instance. An error keeps the plugin from going live.
  init() {
    const configured = get('password');
    if (!configured) {
      throw { tag: 'misconfigured', val: 'config.password is missing' };
    }
    password = utf8(configured);
  },

  selfTest() {},
};

export const authenticator = {
  authenticate(connection, credentials) {
    const principal = connection.username;
    if (!principal) {
      return { tag: 'next' };
    }
    if (credentials.password == null || !sameBytes(credentials.password, password)) {
      // 0x86: Bad User Name or Password.
      return { tag: 'deny', val: { reasonCode: 0x86 } };
    }
    const none = { groups: [], attributes: [], permissions: [], userProperties: [] };
    return { tag: 'allow', val: { ...none, principal } };
  },
};

export const authorizer = {
  // The host fills in the name, so that one answer holds for everyone.
  permissions(_subject) {
    const own = {
      effect: 'allow',
      activity: { publish: true, subscribe: true },
      filter: 'devices/${username}/#',
      qos: { atMostOnce: true, atLeastOnce: true, exactlyOnce: true },
      retain: 'any',
      shared: 'no',
    };
    return { tag: 'permissions', val: { rules: [own], ttlSeconds: 300, holdsFor: 'everyone' } };
  },
};

export const inboundTransform = {
  topics: () => ['devices/+/name'],

  transform(_source, _publisher, message) {
    if (message.payload.length === 0) {
      // 0x99: Payload format invalid.
      return { tag: 'reject', val: { reasonCode: 0x99, reason: 'a device has a name' } };
    }
    return { tag: 'patched', val: { payload: message.payload.map(capital) } };
  },
};

const capital = (byte) => (byte >= 0x61 && byte <= 0x7a ? byte - 0x20 : byte);

// There is no TextEncoder.
function utf8(text) {
  return Uint8Array.from(unescape(encodeURIComponent(text)), (byte) => byte.charCodeAt(0));
}

// As long for every wrong password of the right length.
function sameBytes(one, other) {
  let difference = one.length ^ other.length;
  for (let i = 0; i < one.length && i < other.length; i++) {
    difference |= one[i] ^ other[i];
  }
  return difference === 0;
}
