// A plugin for the MQTT broker Portcullis: who logs in with the password of `[config]` is who it says,
// has topics of its own, and names devices in capitals.
//
// What the hooks mean is written in types/portcullis.d.ts. An exception that is no plugin-error ends the
// instance and counts as a refusal. An option that is none is null: compare with `== null`.
import type { Authenticator } from 'portcullis:plugin/authenticator@0.1.0';
import type { Authorizer, Rule } from 'portcullis:plugin/authorizer@0.1.0';
import { get } from 'portcullis:plugin/config@0.1.0';
import type { InboundTransform } from 'portcullis:plugin/inbound-transform@0.1.0';
import type { Plugin, PluginError } from 'portcullis:plugin/plugin@0.1.0';

const BAD_USER_NAME_OR_PASSWORD = 0x86;
const PAYLOAD_FORMAT_INVALID = 0x99;

let password: Uint8Array;

export const plugin: Plugin = {
  describe: () => ({ name: 'first-plugin', version: '0.1.0' }),

  // Once per instance. An error keeps the plugin from going live.
  init() {
    const configured = get('password');
    if (!configured) {
      throw { tag: 'misconfigured', val: 'config.password is missing' } satisfies PluginError;
    }
    password = utf8(configured);
  },

  selfTest() {},
};

export const authenticator: Authenticator = {
  authenticate(connection, credentials) {
    const principal = connection.username;
    if (!principal) {
      return { tag: 'next' };
    }
    if (credentials.password == null || !sameBytes(credentials.password, password)) {
      return { tag: 'deny', val: { reasonCode: BAD_USER_NAME_OR_PASSWORD } };
    }
    const none = { groups: [], attributes: [], permissions: [], userProperties: [] };
    return { tag: 'allow', val: { ...none, principal } };
  },
};

export const authorizer: Authorizer = {
  // The host fills in the name, so that one answer holds for everyone.
  permissions(_subject) {
    const own: Rule = {
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

export const inboundTransform: InboundTransform = {
  topics: () => ['devices/+/name'],

  transform(_source, _publisher, message) {
    if (message.payload.length === 0) {
      return {
        tag: 'reject',
        val: { reasonCode: PAYLOAD_FORMAT_INVALID, reason: 'a device has a name' },
      };
    }
    return { tag: 'patched', val: { payload: message.payload.map(capital) } };
  },
};

const capital = (byte: number) => (byte >= 0x61 && byte <= 0x7a ? byte - 0x20 : byte);

// There is no TextEncoder.
function utf8(text: string): Uint8Array {
  return Uint8Array.from(unescape(encodeURIComponent(text)), (byte) => byte.charCodeAt(0));
}

// As long for every wrong password of the right length.
function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  let difference = one.length ^ other.length;
  for (let i = 0; i < one.length && i < other.length; i++) {
    difference |= (one[i] ?? 0) ^ (other[i] ?? 0);
  }
  return difference === 0;
}
