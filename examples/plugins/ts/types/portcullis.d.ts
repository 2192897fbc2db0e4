// The contract of the MQTT broker Portcullis in TypeScript, generated from its WIT: do not edit.
//
// Interfaces that a plugin may import are modules with functions; what they declare to throw is what a
// `catch` gets. A hook is an interface of the same name: `export const authenticator: Authenticator`.
// An option that is none is null: compare with `== null`. In what a plugin returns it may be left out.

/**
 * Writing to the broker's log. At most 16 KiB a second per plugin; what is over is dropped and
 * counted.
 */
declare module 'portcullis:plugin/log@0.1.0' {
  /** Severity. */
  export type Level =
    /** Finest. */
    | 'trace'
    /** For developers. */
    | 'debug'
    /** Normal events. */
    | 'info'
    /** Something an operator should look at. */
    | 'warn'
    /** Something that does not work. */
    | 'error';

  /** Named value beside the message. */
  export interface Field {
    /** Name. */
    key: string;
    /** Value. */
    value: string;
  }

  /** Writes one line. Control characters are escaped. Never put a secret here. */
  export function emit(level: Level, message: string, fields: Field[]): void;

  /** Whether a line of this level would be written at all. */
  export function enabled(level: Level): boolean;
}

/** The table `[config]` of the plugin's manifest. */
declare module 'portcullis:plugin/config@0.1.0' {
  /** The whole table as JSON; `{}` when there is none. */
  export function json(): string;

  /**
   * The value of a top-level key: text as it is, anything else as JSON; none when the key does
   * not exist.
   */
  export function get(key: string): string | null;
}

/**
 * Contents of the files that the operator named under `[files]` in the manifest, as they were when
 * this generation was made: a changed file makes a new generation.
 */
declare module 'portcullis:plugin/files@0.1.0' {
  /** Why a file could not be read. */
  export type Error =
    /** No file of this name in the manifest. */
    | { tag: 'unknown'; val: string }
    /** The range or the line is too long; the text says the bound. */
    | { tag: 'too-large'; val: string };

  /**
   * Its size in bytes.
   * @throws {Error}
   */
  export function size(name: string): number;

  /**
   * At most `length` bytes from `offset` (0 at the end of the file); `length` at most 1 MiB.
   * @throws {Error}
   */
  export function read(name: string, offset: number, length: number): Uint8Array;

  /**
   * All lines whose text before the first `separator` equals `key`, each without its line end.
   * The host keeps an index, so that a large file never enters the plugin. Lines that start with
   * `#` are not indexed. At most 64 lines of 64 KiB in all.
   * @throws {Error}
   */
  export function lookup(name: string, separator: string, key: string): Uint8Array[];
}

/** Time. */
declare module 'portcullis:plugin/clock@0.1.0' {
  /** Milliseconds since 1970-01-01 UTC. */
  export function nowUnixMs(): number;

  /** Nanoseconds of a clock that never goes back; only differences mean anything. */
  export function monotonicNs(): number;
}

/** Random numbers from the operating system. */
declare module 'portcullis:plugin/random@0.1.0' {
  /** `length` random bytes, at most 4,096 (more is a trap). */
  export function bytes(length: number): Uint8Array;
}

/** Work with secrets that the host does better and without the plugin's CPU budget. */
declare module 'portcullis:plugin/crypto@0.1.0' {
  /** Why a password could not be verified. Never a reason to allow. */
  export type Error =
    /** The stored hash is malformed; the text says where. */
    | { tag: 'malformed'; val: string }
    /** The format is not one that the host knows. */
    | { tag: 'unsupported'; val: string }
    /** The stored cost parameters are above the host's caps; the text says which. */
    | { tag: 'too-costly'; val: string }
    /** Too many verifications wait already. */
    | { tag: 'busy' };

  /**
   * Verifies a password against a stored hash on a bounded pool, in constant time.
   *
   * Formats: PHC strings `$argon2id$`, `$scrypt$`, `$pbkdf2-sha256$` and `$pbkdf2-sha512$`;
   * bcrypt `$2a$`, `$2b$`, `$2y$` (a password over 72 bytes never verifies); mosquitto
   * `$6$salt$hash` and `$7$iterations$salt$hash`; `$ese-sha512$iterations$salt$hash` with salt and
   * hash as the columns of HiveMQ's Enterprise Security Extension have them; one SHA-2 of salt and
   * password, `$salted-sha256$prefix$salt$hash` (or `sha512`, or `suffix`), in base64 without
   * padding.
   * @throws {Error}
   */
  export function verifyPassword(stored: string, password: Uint8Array): boolean;

  /**
   * Checks a stored hash without a password: its format, its parameters, the length of its
   * parts, the caps.
   * @throws {Error}
   */
  export function checkHash(stored: string): void;

  /** Whether two byte strings are equal, in constant time for equal lengths. */
  export function constantTimeEqual(a: Uint8Array, b: Uint8Array): boolean;

  /** SHA-256, 32 bytes. */
  export function sha256(data: Uint8Array): Uint8Array;
}

/** Work with keys that stay in the host. */
declare module 'portcullis:plugin/keys@0.1.0' {
  /** Why an operation with a key failed. Never a reason to allow. */
  export type Error =
    /**
     * The manifest does not grant it, or the configuration does not have it; the text is the
     * name.
     */
    | { tag: 'unknown'; val: string }
    /** It is there, but not for this, or the input is too long; the text says which. */
    | { tag: 'unsuitable'; val: string }
    /** What was given is not authentic: changed, cut, or made with another key. */
    | { tag: 'not-authentic' };

  /** Hash functions for HMAC. */
  export type Hash =
    /** SHA-256. */
    | 'sha256'
    /** SHA-512. */
    | 'sha512';

  /**
   * HMAC with a secret of `[grants] secrets`.
   * @throws {Error}
   */
  export function hmac(hash: Hash, secret: string, data: Uint8Array): Uint8Array;

  /**
   * Encrypts with the newest key of `[keys.NAME]`, which `[grants] keys` names: AES-256-GCM or
   * ChaCha20-Poly1305 by configuration. The nonce, random, and the key's number are part of the
   * result. `associated-data` is bound to it and not in it. At most 1 MiB.
   * @throws {Error}
   */
  export function seal(key: string, plaintext: Uint8Array, associatedData: Uint8Array): Uint8Array;

  /**
   * Decrypts what `seal` made, also with an older key.
   * @throws {Error}
   */
  export function open(key: string, sealed: Uint8Array, associatedData: Uint8Array): Uint8Array;

  /**
   * As `seal`, with a key of its own for each `context`, such as the name of a device: HKDF-SHA256
   * makes it of the newest key. `context` has 1 to 1,024 bytes.
   * @throws {Error}
   */
  export function sealFor(key: string, context: string, plaintext: Uint8Array, associatedData: Uint8Array): Uint8Array;

  /**
   * Decrypts what `seal-for` made for the same `context`, also with an older key.
   * @throws {Error}
   */
  export function openFor(key: string, context: string, sealed: Uint8Array, associatedData: Uint8Array): Uint8Array;
}

/** JSON Web Tokens. */
declare module 'portcullis:plugin/jwt@0.1.0' {
  /** Why a token does not hold. */
  export type Error =
    /** The manifest does not grant the verifier, or the configuration does not have it. */
    | { tag: 'unknown'; val: string }
    /**
     * The token is refused: malformed, wrongly signed, expired, not for us; the text says
     * which.
     */
    | { tag: 'refused'; val: string }
    /** The keys to judge it by cannot be had. */
    | { tag: 'unavailable'; val: string };

  /**
   * The claims, as JSON, of a token that the verifier `[jwt.NAME]`, which `[grants] jwt` names,
   * accepts: signature, algorithm, `exp`, `nbf`, `iss` and `aud` are checked by the host.
   * @throws {Error}
   */
  export function verify(verifier: string, token: string): string;
}

/**
 * Secrets that the operator named in `[secrets.NAME]` and granted by `[grants] secrets`. Other
 * interfaces take their names, so that most plugins never see one.
 */
declare module 'portcullis:plugin/secrets@0.1.0' {
  /** Why there is none. */
  export type Error =
    /** The manifest does not grant it, or the configuration does not have it. */
    | { tag: 'unknown'; val: string }
    /** It is granted for use, not for reading: `[grants] reveal` does that. */
    | { tag: 'not-revealed'; val: string };

  /** Names of those that this plugin may use. */
  export function names(): string[];

  /**
   * The secret itself.
   * @throws {Error}
   */
  export function reveal(name: string): Uint8Array;
}

/**
 * Metrics of the plugin, at `/metrics` as `portcullis_plugin_custom_...{plugin,name}`. At most 200
 * names; what is over is dropped and counted. A name is 1 to 64 letters, digits and `_`.
 */
declare module 'portcullis:plugin/metrics@0.1.0' {
  /** Adds to a counter. */
  export function add(name: string, amount: number): void;

  /** Sets a gauge. */
  export function set(name: string, value: number): void;

  /** Notes a value in a histogram. */
  export function observe(name: string, value: number): void;
}

/**
 * Keys and values of this plugin alone, shared by its instances and generations and kept over
 * restarts of the broker. `[grants] state = "1 MiB"` grants it and bounds keys and values together.
 */
declare module 'portcullis:plugin/state@0.1.0' {
  /** Why not. */
  export type Error =
    /** The quota is used up, or the key (1 to 256 bytes) or value (at most 64 KiB) is too long. */
    | { tag: 'quota'; val: string }
    /** The store does not answer. */
    | { tag: 'unavailable'; val: string };

  /** A value. */
  export interface Entry {
    /** The value. */
    value: Uint8Array;
    /** Differs after each change; for `compare-and-set`. */
    version: number;
  }

  /**
   * The value of a key.
   * @throws {Error}
   */
  export function get(key: string): Entry | null;

  /**
   * Sets it, for `ttl-seconds` if given. Returns the new version.
   * @throws {Error}
   */
  export function set(key: string, value: Uint8Array, ttlSeconds: number | null): number;

  /**
   * Sets it if its version is still `expected` (none = there is no such key). Returns the new
   * version, or none when somebody else was faster.
   * @throws {Error}
   */
  export function compareAndSet(key: string, expected: number | null, value: Uint8Array, ttlSeconds: number | null): number | null;

  /**
   * Adds to a number, which begins at 0, and returns the sum. `ttl-seconds` counts from its
   * begin. A value that is no number begins anew.
   * @throws {Error}
   */
  export function increment(key: string, amount: number, ttlSeconds: number | null): number;

  /**
   * Removes it; whether it was there.
   * @throws {Error}
   */
  function delete_(key: string): boolean;
  export { delete_ as delete };
}

/**
 * HTTP requests to the servers that `[grants] http` lists by the begin of their URL. A redirect is
 * checked like a request. Addresses of private networks are refused unless a grant names such an
 * address or `[grants] http_private = true`.
 */
declare module 'portcullis:plugin/http-client@0.1.0' {
  /** Value of a header. */
  export type HeaderValue =
    /** As it is. */
    | { tag: 'text'; val: string }
    /** This text and behind it a secret of `[grants] secrets`. */
    | { tag: 'secret'; val: [string, string] };

  /** Header of a request. */
  export interface Header {
    /** Name. */
    name: string;
    /** Value. */
    value: HeaderValue;
  }

  /** A request. */
  export interface Request {
    /** Method: GET, HEAD, POST, PUT, PATCH or DELETE. */
    method: string;
    /** URL, `https:` or `http:`. */
    url: string;
    /** Headers. */
    headers: Header[];
    /** Body, at most 1 MiB. */
    body: Uint8Array;
    /** At most this long; never longer than the call that it is part of. */
    timeoutMs?: number | null;
  }

  /** A response. */
  export interface Response {
    /** Status code. */
    status: number;
    /** Headers, names in lower case. */
    headers: [string, string][];
    /** Body, at most 1 MiB. */
    body: Uint8Array;
  }

  /** Why there is no response. */
  export type Error =
    /** No grant allows this URL, method or address. */
    | { tag: 'denied'; val: string }
    /** It took too long. */
    | { tag: 'timeout' }
    /** Request or response is too large. */
    | { tag: 'too-large'; val: string }
    /** No connection, or it broke. */
    | { tag: 'connection'; val: string }
    /** Too many requests of this plugin are in flight (16). */
    | { tag: 'busy' };

  /**
   * Sends a request and waits for the whole response.
   * @throws {Error}
   */
  export function send(request: Request): Response;
}

/**
 * SQL databases that the operator named in `[sql.NAME]` and granted by `[grants] sql`. Connections
 * are pooled by the host; the plugin never sees address or password.
 */
declare module 'portcullis:plugin/sql@0.1.0' {
  /** A value, in and out. */
  export type Value =
    /** NULL. */
    | { tag: 'null' }
    /** Boolean. */
    | { tag: 'boolean'; val: boolean }
    /** Integer. */
    | { tag: 'integer'; val: number }
    /** Floating point number. */
    | { tag: 'real'; val: number }
    /** Text; also for types that have no other case here. */
    | { tag: 'text'; val: string }
    /** Bytes. */
    | { tag: 'blob'; val: Uint8Array };

  /** Why there is no result. */
  export type Error =
    /** No grant for this source. */
    | { tag: 'denied'; val: string }
    /** It took too long. */
    | { tag: 'timeout' }
    /** The database does not answer, or all its connections are taken. */
    | { tag: 'unavailable'; val: string }
    /** The database refused the statement; the text is its own. */
    | { tag: 'statement'; val: string }
    /** More than 1,000 rows or 1 MiB. */
    | { tag: 'too-large' };

  /** A result. */
  export interface Rows {
    /** Names of the columns. */
    columns: string[];
    /** The rows. */
    rows: Value[][];
  }

  /**
   * Runs a statement with rows as result. `parameters` take the place of `?` in order, whatever
   * the database's own notation is.
   * @throws {Error}
   */
  export function query(source: string, statement: string, parameters: Value[]): Rows;

  /**
   * Runs a statement without; returns how many rows it changed.
   * @throws {Error}
   */
  export function execute(source: string, statement: string, parameters: Value[]): number;
}

/** Directories that the operator named in `[ldap.NAME]` and granted by `[grants] ldap`. */
declare module 'portcullis:plugin/ldap@0.1.0' {
  /** Why there is no answer. */
  export type Error =
    /** No grant for this source. */
    | { tag: 'denied'; val: string }
    /** It took too long. */
    | { tag: 'timeout' }
    /** The directory does not answer, or all its connections are taken. */
    | { tag: 'unavailable'; val: string }
    /** The filter or a name is malformed; the text says where. */
    | { tag: 'malformed'; val: string }
    /** The directory refused; the text is its own. */
    | { tag: 'refused'; val: string }
    /** More than 1,000 entries or 1 MiB. */
    | { tag: 'too-large' };

  /** How far a search goes. */
  export type Scope =
    /** Only the base. */
    | 'base'
    /** Its children. */
    | 'one'
    /** Everything below. */
    | 'subtree';

  /** An entry. */
  export interface Entry {
    /** Distinguished name. */
    dn: string;
    /** Attributes with their values. */
    attributes: [string, Uint8Array[]][];
  }

  /**
   * Whether the directory takes this password for this name. An empty one never.
   * @throws {Error}
   */
  export function bind(source: string, dn: string, password: Uint8Array): boolean;

  /**
   * Whether an attribute of an entry has this value.
   * @throws {Error}
   */
  export function compare(source: string, dn: string, attribute: string, value: Uint8Array): boolean;

  /**
   * Searches. In `filter`, `{}` stands for the next of `values`, which are escaped; so nobody
   * needs to put a client's text into a filter.
   * @throws {Error}
   */
  export function search(source: string, base: string, scope: Scope, filter: string, values: string[], attributes: string[]): Entry[];

  /** A value as it may stand in a distinguished name. */
  export function escapeDn(value: string): string;
}

/**
 * Takes back answers that the broker keeps: it asks again, and what is no longer allowed stops.
 * `[grants] cache_control = true`.
 */
declare module 'portcullis:plugin/cache-control@0.1.0' {
  /** Of one client. */
  export function invalidateClient(clientId: string): void;

  /** Of all clients of a principal. */
  export function invalidatePrincipal(principal: string): void;

  /** Of everybody. At most once a second; what is over is done at the end of that second. */
  export function invalidateAll(): void;
}

/** Rules on topics: what `authorizer` answers with and what a grant may carry. Types only. */
declare module 'portcullis:plugin/permissions@0.1.0' {
  /** What a rule does when it matches. */
  export type Effect =
    /** Permit. */
    | 'allow'
    /** Refuse. */
    | 'deny';

  /** What a rule is about. An empty set matches nothing. */
  export interface Activity {
    /** PUBLISH and Will Messages. */
    publish?: boolean;
    /** SUBSCRIBE and delivery. */
    subscribe?: boolean;
  }

  /** QoS levels a rule is about. An empty set matches nothing. */
  export interface QosSet {
    /** QoS 0. */
    atMostOnce?: boolean;
    /** QoS 1. */
    atLeastOnce?: boolean;
    /** QoS 2. */
    exactlyOnce?: boolean;
  }

  /** Three-valued condition. */
  export type Condition =
    /** Matches both. */
    | 'any'
    /** Matches only when set. */
    | 'yes'
    /** Matches only when not set. */
    | 'no';

  /** One permission. */
  export interface Rule {
    /** Allow or deny. */
    effect: Effect;
    /** Publish, subscribe or both. */
    activity: Activity;
    /**
     * MQTT topic filter. `${clientid}` and `${username}` (the authenticated principal) are
     * replaced by the host. A value that is empty or holds `+`, `#`, `/` or a control
     * character drops an allow rule, and refuses the client where it stands in a deny rule.
     */
    filter: string;
    /** QoS of the PUBLISH, or the maximum QoS of the SUBSCRIBE. */
    qos: QosSet;
    /** RETAIN flag of a PUBLISH; not looked at for a SUBSCRIBE. */
    retain: Condition;
    /** Shared subscription or not; not looked at for a PUBLISH. */
    shared: Condition;
    /** Only this share name; none = every. */
    shareName?: string | null;
  }
}

/**
 * Data types shared by the hooks. Once a version of this package is released, nothing below may
 * change in any way: the host type-checks structurally, so new data goes into new types and new
 * interfaces, or into the `attributes` bags.
 */
declare module 'portcullis:plugin/types@0.1.0' {
  /** Protocol level of the connection. */
  export type ProtocolVersion =
    /** MQTT 3.1.1. */
    | 'v3-1-1'
    /** MQTT 5.0. */
    | 'v5-0';

  /** Delivery guarantee of a message. */
  export type Qos =
    /** QoS 0. */
    | 'at-most-once'
    /** QoS 1. */
    | 'at-least-once'
    /** QoS 2. */
    | 'exactly-once';

  /** A named text. Names may repeat, and their order is kept. */
  export interface Attribute {
    /** Name. */
    name: string;
    /** Value. */
    value: string;
  }

  /** The client's X.509 certificate, verified by the broker. */
  export interface PeerCertificate {
    /** SHA-256 of the DER encoding, 32 bytes. */
    sha256: Uint8Array;
    /** Subject distinguished name (RFC 4514). */
    subject: string;
    /** Issuer distinguished name (RFC 4514). */
    issuer: string;
    /** Serial number, lower-case hexadecimal. */
    serial: string;
    /** Common Name of the subject. */
    commonName?: string | null;
    /** Subject alternative names of kind dNSName. */
    dnsNames: string[];
    /** Subject alternative names of kind uniformResourceIdentifier. */
    uris: string[];
    /** Subject alternative names of kind rfc822Name. */
    emailNames: string[];
    /** End of validity, seconds since 1970-01-01 UTC. */
    notAfterUnix: number;
    /** The chain as presented, leaf first, each in DER. */
    derChain: Uint8Array[];
  }

  /** The TLS layer of the connection. */
  export interface TlsSession {
    /** Protocol version, `1.2` or `1.3`. */
    version: string;
    /** Server name that the client asked for (SNI). */
    serverName?: string | null;
    /** The client's certificate, if it presented one. */
    certificate?: PeerCertificate | null;
  }

  /** The network connection that a decision is about. */
  export interface Connection {
    /** Given by the broker, unique for the life of its process. */
    connectionId: number;
    /** Client Identifier, already assigned when the client left it empty. */
    clientId: string;
    /** User Name as sent in CONNECT: a claim, not an identity. */
    username?: string | null;
    /** Name of the listener. */
    listener: string;
    /** IP address of the client (behind a trusted proxy: as the proxy tells it). */
    remoteAddress: string;
    /** Port of the client. */
    remotePort: number;
    /** Protocol level. */
    protocol: ProtocolVersion;
    /** The TLS layer; none on a plain connection. */
    tls?: TlsSession | null;
    /** What the broker knows beside that. */
    attributes: Attribute[];
  }

  /** The client, reduced to what an answer may depend on: answers are cached by these fields. */
  export interface Subject {
    /** The authenticated identity: never the raw User Name of CONNECT. */
    principal: string;
    /** Name of the link that authenticated it. */
    authenticatedBy: string;
    /** Groups from all grants. */
    groups: string[];
    /** Attributes from all grants. */
    attributes: Attribute[];
    /** Client Identifier. */
    clientId: string;
    /** Name of the listener. */
    listener: string;
    /** IP address of the client. */
    remoteAddress: string;
    /** Protocol level. */
    protocol: ProtocolVersion;
    /** The client's certificate. */
    certificate?: PeerCertificate | null;
  }

  /** A client as the hooks that see its messages know it. */
  export interface Client {
    /** Client Identifier; empty for what the admin API publishes. */
    clientId: string;
    /** The authenticated identity; for the admin API the name of its user or token. */
    principal: string;
    /** Groups from all grants. */
    groups: string[];
    /** Attributes from all grants. */
    attributes: Attribute[];
    /** Name of the listener; empty for the admin API. */
    listener: string;
  }

  /**
   * The hook could not come to a decision: a failure of the plugin or of a system behind it. It
   * never means "denied", and the broker treats it as a refusal.
   */
  export type PluginError =
    /** A system that the plugin needs does not answer. */
    | { tag: 'unavailable'; val: string }
    /** It did not answer in time. */
    | { tag: 'timeout'; val: string }
    /** The plugin's configuration is wrong. */
    | { tag: 'misconfigured'; val: string }
    /** Anything else. */
    | { tag: 'internal'; val: string };

  /** A refusal that the client gets to see. */
  export interface Denial {
    /**
     * MQTT 5.0 Reason Code, 0x80 or above; anything below is turned into 0x87 (Not
     * authorized).
     */
    reasonCode: number;
    /** Reason String for clients that asked for problem information. */
    reason?: string | null;
  }
}

/**
 * Hook: who logs in to the admin API and the control center? The links of the chain `[admin] chain`
 * are asked in order by the same rules as for clients; a chain of its own, so that nobody becomes
 * an administrator by being a device.
 */
declare module 'portcullis:plugin/admin-authenticator@0.1.0' {
  import type { PluginError } from 'portcullis:plugin/types@0.1.0';
  export type { PluginError };

  /** A login. */
  export interface Login {
    /** User name. */
    username: string;
    /** Password; any bytes. */
    password: Uint8Array;
    /** IP address of the browser or tool. */
    remoteAddress: string;
  }

  /** Who logged in. */
  export interface AdminGrant {
    /** Name of the user, for the audit log. */
    user: string;
    /**
     * Names of roles that the broker's configuration knows; united over the chain. Others are
     * ignored, and without any the login is refused.
     */
    roles: string[];
    /** When the login ends at the latest, seconds since 1970-01-01 UTC. */
    expiresAtUnix?: number | null;
  }

  /** The link's word. */
  export type Outcome =
    /** This is who it says. */
    | { tag: 'allow'; val: AdminGrant }
    /** Refuse. The text is for the audit log only. */
    | { tag: 'deny'; val: string }
    /** Not mine to judge: ask the next link. */
    | { tag: 'next' };

  export interface AdminAuthenticator {
    /**
     * Judges one login.
     * @throws {PluginError}
     */
    authenticateAdmin(login: Login): Outcome;
  }
}

/**
 * Hook: what may this client do? Called after authentication, unless an answer that holds for the
 * client is kept; again when the answer's time to live ends or the plugin is replaced. The host
 * compiles the rules: a PUBLISH never enters the plugin.
 */
declare module 'portcullis:plugin/authorizer@0.1.0' {
  import type { Subject } from 'portcullis:plugin/types@0.1.0';
  export type { Subject };

  import type { PluginError } from 'portcullis:plugin/types@0.1.0';
  export type { PluginError };

  import type { Rule } from 'portcullis:plugin/permissions@0.1.0';
  export type { Rule };

  /**
   * For whom a set holds as it stands, on the subject's listener and for its time to live. Say
   * more than is true and clients get the permissions of others: a plugin that denies some
   * clients and has one set for the rest looked at who the client is, and that set does not hold
   * for everyone.
   */
  export type HoldsFor =
    /** Only for a client that is the same in every field of the subject. */
    | 'client'
    /**
     * For all clients of the same principal, authenticated by the same link with the same
     * groups and attributes: nothing else of the subject was looked at.
     */
    | 'principal'
    /** For every client: nothing of the subject but the listener was looked at. */
    | 'everyone';

  /**
   * The first rule that matches decides for this link; no match = no word from this link. Over
   * the links any deny wins, else any allow, else the operation is refused.
   */
  export interface PermissionSet {
    /** In order of precedence, at most 10,000. */
    rules: Rule[];
    /** How long the set may be used, 1 to 3,600 seconds; none = 60. */
    ttlSeconds?: number | null;
    /** Who else may be given it without a call. */
    holdsFor: HoldsFor;
  }

  /** The link's word. */
  export type Answer =
    /** These rules. */
    | { tag: 'permissions'; val: PermissionSet }
    /** Nothing at all is permitted, whatever other links say. */
    | { tag: 'deny-all' }
    /** This link has no rules for this client. */
    | { tag: 'next' };

  export interface Authorizer {
    /**
     * Tells the permissions of one client.
     * @throws {PluginError}
     */
    permissions(subject: Subject): Answer;
  }
}

/**
 * Hook: is told what happened, in batches and after the fact. It decides nothing: an error is only
 * counted. At most 4,096 events wait for a plugin; what does not fit is dropped and counted, and the
 * next batch says how many.
 */
declare module 'portcullis:plugin/events@0.1.0' {
  import type { ProtocolVersion } from 'portcullis:plugin/types@0.1.0';
  export type { ProtocolVersion };

  import type { Qos } from 'portcullis:plugin/types@0.1.0';
  export type { Qos };

  import type { PluginError } from 'portcullis:plugin/types@0.1.0';
  export type { PluginError };

  /** Which events a plugin wants; the others are not kept for it. */
  export interface Kinds {
    /** A client connected. */
    connected?: boolean;
    /** Its connection ended. */
    disconnected?: boolean;
    /** A CONNECT was refused. */
    authFailed?: boolean;
    /** A subscription was made. */
    subscribed?: boolean;
    /** A subscription was ended by the client. */
    unsubscribed?: boolean;
    /** A PUBLISH was refused. */
    publishDenied?: boolean;
    /** A session ended for good. */
    sessionExpired?: boolean;
    /** The broker's load changed its level. */
    overload?: boolean;
  }

  /** Who it is about. */
  export interface Who {
    /** Unique for the life of the broker's process. */
    connectionId: number;
    /** Client Identifier. */
    clientId: string;
    /** The authenticated identity; empty when there is none. */
    principal: string;
    /** Name of the listener. */
    listener: string;
    /** IP address. */
    remoteAddress: string;
    /** Protocol level. */
    protocol: ProtocolVersion;
  }

  /** A connection ended. */
  export interface DisconnectedEvent {
    /** Who. */
    who: Who;
    /** Reason Code, of the client's DISCONNECT or of ours; 0x80 when the network ended. */
    reasonCode: number;
    /** The client sent DISCONNECT. */
    byClient: boolean;
  }

  /** A CONNECT was refused. */
  export interface AuthFailedEvent {
    /** Who it claimed to be. */
    who: Who;
    /** Reason Code. */
    reasonCode: number;
    /** Kind of the refusal, as in logs and metrics. */
    kind: string;
  }

  /** A subscription. */
  export interface SubscriptionEvent {
    /** Who. */
    who: Who;
    /** Topic Filter with `$share/NAME/`. */
    filter: string;
    /** Granted QoS. */
    qos: Qos;
  }

  /** The end of a subscription. */
  export interface UnsubscribedEvent {
    /** Who. */
    who: Who;
    /** Topic Filter with `$share/NAME/`. */
    filter: string;
  }

  /** A refused PUBLISH. One client causes at most one of them a second. */
  export interface PublishDeniedEvent {
    /** Who. */
    who: Who;
    /** Topic Name. */
    topic: string;
  }

  /** What happened. */
  export type Event =
    /** A client connected. */
    | { tag: 'connected'; val: Who }
    /** Its connection ended. */
    | { tag: 'disconnected'; val: DisconnectedEvent }
    /** A CONNECT was refused. */
    | { tag: 'auth-failed'; val: AuthFailedEvent }
    /** A subscription was made. */
    | { tag: 'subscribed'; val: SubscriptionEvent }
    /** A subscription was ended by the client. */
    | { tag: 'unsubscribed'; val: UnsubscribedEvent }
    /** A PUBLISH was refused. */
    | { tag: 'publish-denied'; val: PublishDeniedEvent }
    /** A session ended for good: its Client Identifier. */
    | { tag: 'session-expired'; val: string }
    /** The broker's load: its level now, 0 to 10. */
    | { tag: 'overload'; val: number };

  /** With its time. */
  export interface Stamped {
    /** Milliseconds since 1970-01-01 UTC. */
    unixMs: number;
    /** What happened. */
    event: Event;
  }

  export interface Events {
    /** Asked once per generation, after `init`. */
    wanted(): Kinds;
    /**
     * At most 256 events, in order. `dropped` = how many were lost before them since the last batch.
     * @throws {PluginError}
     */
    onEvents(batch: Stamped[], dropped: number): void;
  }
}

/** What an allow carries. Types only. */
declare module 'portcullis:plugin/grants@0.1.0' {
  import type { Attribute } from 'portcullis:plugin/types@0.1.0';
  export type { Attribute };

  import type { Rule } from 'portcullis:plugin/permissions@0.1.0';
  export type { Rule };

  /**
   * Bounds for one client. None = what the broker's configuration says; a value above that counts
   * as none, one below the least as the least. Of several grants the strictest value holds.
   */
  export interface ClientLimits {
    /**
     * PUBLISH packets a second that are read from it, 1 or more. What comes faster waits in the
     * network: nothing is dropped.
     */
    messagesPerSecond?: number | null;
    /** How many PUBLISH packets it may send at once after a pause; none = as many as in a second. */
    messagesBurst?: number | null;
    /** Bytes a second that are read from it, 1,024 or more. */
    bytesPerSecond?: number | null;
    /**
     * Receive Maximum that it is told: QoS 1 and 2 messages from it that are not yet
     * acknowledged, 1 or more.
     */
    receiveMaximum?: number | null;
    /** QoS 1 and 2 messages to it that it has not yet acknowledged, 1 or more. */
    inFlightMax?: number | null;
    /** Messages that wait for it. */
    queueMessagesMax?: number | null;
    /** Bytes of payload that wait for it. */
    queueBytesMax?: number | null;
    /** Largest packet that is read from it, 128 bytes or more. */
    packetBytesMax?: number | null;
    /** Longest Keep Alive in seconds, 1 or more. */
    keepAliveSecondsMax?: number | null;
    /** Subscriptions it may have at once. */
    subscriptionsMax?: number | null;
  }

  /** What an allow carries. */
  export interface Grant {
    /**
     * The identity that this client proved. None leaves it to the other links; when no link
     * names one, the client is refused.
     */
    principal?: string | null;
    /** Groups (roles); united over the chain. */
    groups: string[];
    /** Attributes; of two with one name the earlier link's wins. */
    attributes: Attribute[];
    /**
     * Rules that hold for this client as long as its identity, beside those of the authorizers
     * of the chain: as if this link had one that answered with them. At most 1,000.
     */
    permissions: Rule[];
    /**
     * When the identity ends, seconds since 1970-01-01 UTC. The connection ends then, unless the
     * client authenticated again before.
     */
    expiresAtUnix?: number | null;
    /** Upper bound for the Session Expiry Interval in seconds. */
    sessionExpirySecondsMax?: number | null;
    /** Bounds for this client. */
    limits?: ClientLimits | null;
    /** User Properties for CONNACK (MQTT 5.0). */
    userProperties: Attribute[];
  }
}

/**
 * Hook: who is this client? Called once per CONNECT. For one that carries an Authentication Method
 * only where the link must allow (`required`, `requisite`): the others are passed by, because the
 * client asked for another way.
 */
declare module 'portcullis:plugin/authenticator@0.1.0' {
  import type { Connection } from 'portcullis:plugin/types@0.1.0';
  export type { Connection };

  import type { Attribute } from 'portcullis:plugin/types@0.1.0';
  export type { Attribute };

  import type { Denial } from 'portcullis:plugin/types@0.1.0';
  export type { Denial };

  import type { Qos } from 'portcullis:plugin/types@0.1.0';
  export type { Qos };

  import type { PluginError } from 'portcullis:plugin/types@0.1.0';
  export type { PluginError };

  import type { Grant } from 'portcullis:plugin/grants@0.1.0';
  export type { Grant };

  /**
   * The Will Message that the client registers. It is published only if the client's permissions
   * allow it.
   */
  export interface Will {
    /** Will Topic. */
    topic: string;
    /** Will QoS. */
    qos: Qos;
    /** Will Retain. */
    retain: boolean;
    /** Size of the Will Payload in bytes. */
    payloadBytes: number;
    /** Will Delay Interval in seconds. */
    delaySeconds: number;
  }

  /** What CONNECT carried. */
  export interface Credentials {
    /** Password; any bytes. */
    password?: Uint8Array | null;
    /** Clean Start. */
    cleanStart: boolean;
    /** Keep Alive in seconds; 0 = off. */
    keepAliveSeconds: number;
    /** User Properties. */
    userProperties: Attribute[];
    /** Will Message. */
    will?: Will | null;
  }

  /** The link's word. */
  export type Outcome =
    /** This client is who it says. */
    | { tag: 'allow'; val: Grant }
    /** Refuse it; no later link is asked unless the control flag says so. */
    | { tag: 'deny'; val: Denial }
    /** Not mine to judge: ask the next link. */
    | { tag: 'next' };

  export interface Authenticator {
    /**
     * Judges one CONNECT.
     * @throws {PluginError}
     */
    authenticate(connection: Connection, credentials: Credentials): Outcome;
  }
}

/**
 * Hook: enhanced authentication of MQTT 5.0, one or more exchanges of AUTH packets. The plugin keeps
 * nothing between two steps: what it has to remember goes into `state`, which the host keeps and
 * hands to whichever instance takes the next step, also to one of the plugin's next generation.
 *
 * The first link of the chain that has the method and does not answer `next` holds the exchange to
 * its end. An exchange has at most 8 steps and 30 seconds.
 */
declare module 'portcullis:plugin/enhanced-authenticator@0.1.0' {
  import type { Connection } from 'portcullis:plugin/types@0.1.0';
  export type { Connection };

  import type { Attribute } from 'portcullis:plugin/types@0.1.0';
  export type { Attribute };

  import type { Denial } from 'portcullis:plugin/types@0.1.0';
  export type { Denial };

  import type { PluginError } from 'portcullis:plugin/types@0.1.0';
  export type { PluginError };

  import type { Grant } from 'portcullis:plugin/grants@0.1.0';
  export type { Grant };

  /** CONNECT with an Authentication Method, or AUTH with Reason Code 0x19 (Re-authenticate). */
  export interface Opening {
    /** Authentication Method. */
    method: string;
    /** Authentication Data. */
    data?: Uint8Array | null;
    /**
     * Who the client has proved to be when it authenticates again; the grant must name the same
     * principal then. None for CONNECT.
     */
    principal?: string | null;
    /** User Properties of the packet. */
    userProperties: Attribute[];
  }

  /** AUTH with Reason Code 0x18 (Continue authentication). */
  export interface Continuation {
    /** Authentication Method. */
    method: string;
    /** Authentication Data. */
    data?: Uint8Array | null;
    /** What the step before left. */
    state: Uint8Array;
    /** As in the opening. */
    principal?: string | null;
    /** User Properties of the packet. */
    userProperties: Attribute[];
  }

  /** AUTH with Reason Code 0x18 for the client. */
  export interface Challenge {
    /** Authentication Data for the client. */
    data: Uint8Array;
    /** For the next step; at most 64 KiB. The client never sees it. */
    state: Uint8Array;
  }

  /** The client proved who it is. */
  export interface Success {
    /** What it is granted. */
    grant: Grant;
    /** Authentication Data for CONNACK, or for the AUTH that ends a re-authentication. */
    data?: Uint8Array | null;
  }

  /** The link's word. */
  export type Step =
    /** The client has to answer this. */
    | { tag: 'challenge'; val: Challenge }
    /** This client is who it says. */
    | { tag: 'success'; val: Success }
    /** Refuse it. */
    | { tag: 'deny'; val: Denial }
    /** Not mine to judge: ask the next link that has the method. A refusal in a continuation. */
    | { tag: 'next' };

  export interface EnhancedAuthenticator {
    /**
     * Authentication Methods that this plugin has. Asked once per generation, after `init`; at most
     * 16 of 1 to 256 bytes.
     */
    methods(): string[];
    /**
     * The first step.
     * @throws {PluginError}
     */
    begin(connection: Connection, opening: Opening): Step;
    /**
     * A later step.
     * @throws {PluginError}
     */
    proceed(connection: Connection, continuation: Continuation): Step;
  }
}

/** Application Messages as transforms see them. Types only. */
declare module 'portcullis:plugin/messages@0.1.0' {
  import type { Qos } from 'portcullis:plugin/types@0.1.0';
  export type { Qos };

  import type { Attribute } from 'portcullis:plugin/types@0.1.0';
  export type { Attribute };

  /** An Application Message. */
  export interface Message {
    /** Topic Name. */
    topic: string;
    /** Payload. */
    payload: Uint8Array;
    /** QoS. */
    qos: Qos;
    /** RETAIN flag. */
    retain: boolean;
    /** Payload Format Indicator: the payload is UTF-8. */
    payloadIsUtf8: boolean;
    /** Message Expiry Interval in seconds. */
    messageExpirySeconds?: number | null;
    /** Content Type. */
    contentType?: string | null;
    /** Response Topic. */
    responseTopic?: string | null;
    /** Correlation Data. */
    correlationData?: Uint8Array | null;
    /** User Properties. */
    userProperties: Attribute[];
  }

  /** What changes; none leaves a part as it is and costs no copy. */
  export interface Patch {
    /**
     * Topic Name, without wildcards. Only for `inbound-transform`: the publisher needs the
     * permission for it.
     */
    topic?: string | null;
    /** Payload. */
    payload?: Uint8Array | null;
    /** Payload Format Indicator. */
    payloadIsUtf8?: boolean | null;
    /** Content Type; an empty text removes it. */
    contentType?: string | null;
    /** User Properties, all of them. */
    userProperties?: Attribute[] | null;
  }
}

/**
 * The broker itself. Each function has its own grant: `[grants] broker = ["publish", "disconnect",
 * "subscriptions"]`.
 */
declare module 'portcullis:plugin/broker@0.1.0' {
  import type { Qos } from 'portcullis:plugin/types@0.1.0';
  export type { Qos };

  import type { Message } from 'portcullis:plugin/messages@0.1.0';
  export type { Message };

  /** Why not. */
  export type Error =
    /** Not granted. */
    | { tag: 'denied'; val: string }
    /** The topic or a property is not valid, or over a limit. */
    | { tag: 'invalid'; val: string }
    /** Too much at once, or the store does not take it. */
    | { tag: 'busy' };

  /** A subscription. */
  export interface Subscription {
    /** Topic Filter with `$share/NAME/`. */
    filter: string;
    /** Granted QoS. */
    qos: Qos;
  }

  /**
   * Publishes. `[grants] publish_topics` lists the Topic Filters that are allowed. Returns how many
   * sessions it went to.
   * @throws {Error}
   */
  export function publish(message: Message): number;

  /**
   * Ends a client's connection with this Reason Code (0x80 or above); whether it was connected.
   * @throws {Error}
   */
  export function disconnect(clientId: string, reasonCode: number): boolean;

  /**
   * Subscriptions of a client; none when there is no session.
   * @throws {Error}
   */
  export function subscriptions(clientId: string): Subscription[] | null;
}

/**
 * Hook: changes, refuses or swallows what clients publish, before it is stored and passed on. Called
 * for each PUBLISH, Will Message and message of the admin API whose topic the plugin claims and that
 * its publisher may publish. Several plugins work in the order of the chain, each on what the one
 * before left. The messages of one client keep their order. What plugins publish themselves is their
 * own word and goes past this hook, so that no two can keep each other busy for ever.
 */
declare module 'portcullis:plugin/inbound-transform@0.1.0' {
  import type { Client } from 'portcullis:plugin/types@0.1.0';
  export type { Client };

  import type { Denial } from 'portcullis:plugin/types@0.1.0';
  export type { Denial };

  import type { PluginError } from 'portcullis:plugin/types@0.1.0';
  export type { PluginError };

  import type { Message } from 'portcullis:plugin/messages@0.1.0';
  export type { Message };

  import type { Patch } from 'portcullis:plugin/messages@0.1.0';
  export type { Patch };

  /** Where a message comes from. */
  export type Source =
    /** PUBLISH. */
    | 'publish'
    /** Will Message. */
    | 'will'
    /** The admin API. */
    | 'api';

  /** The link's word. */
  export type Outcome =
    /** As it is. */
    | { tag: 'unchanged' }
    /** With these changes. A changed topic is authorized for the publisher anew. */
    | { tag: 'patched'; val: Patch }
    /** Acknowledged and passed to nobody. */
    | { tag: 'swallow' }
    /** Refused: the Reason Code of PUBACK or PUBREC. */
    | { tag: 'reject'; val: Denial };

  export interface InboundTransform {
    /**
     * Topic Filters of what this plugin works on. Asked once per generation, after `init`; at most
     * 100. `[transform] inbound` of the manifest replaces them.
     */
    topics(): string[];
    /**
     * Works on one message.
     * @throws {PluginError}
     */
    transform(source: Source, publisher: Client, message: Message): Outcome;
  }
}

/**
 * Hook: may this client do that? For rules that a topic filter cannot express. Asked for a PUBLISH,
 * a Will Message and a SUBSCRIBE that the chain's rules do not deny and that this plugin claims; the
 * answer is kept for the client's connection. A denial by any link is final; what no rule and no
 * plugin allows is refused.
 */
declare module 'portcullis:plugin/operation-authorizer@0.1.0' {
  import type { Subject } from 'portcullis:plugin/types@0.1.0';
  export type { Subject };

  import type { Qos } from 'portcullis:plugin/types@0.1.0';
  export type { Qos };

  import type { Denial } from 'portcullis:plugin/types@0.1.0';
  export type { Denial };

  import type { PluginError } from 'portcullis:plugin/types@0.1.0';
  export type { PluginError };

  /** A PUBLISH or a Will Message. All that an answer may depend on. */
  export interface PublishOperation {
    /** Topic Name. */
    topic: string;
    /** QoS. */
    qos: Qos;
    /** RETAIN flag. */
    retain: boolean;
    /**
     * The payload is at most this long and more than half of it: 64, 128, 256 bytes and so on;
     * 64 for everything shorter.
     */
    payloadBytesMax: number;
  }

  /** One filter of a SUBSCRIBE. */
  export interface SubscribeOperation {
    /** Topic Filter, without `$share/NAME/`. */
    filter: string;
    /** Maximum QoS asked for. */
    qos: Qos;
    /** Share name of a shared subscription. */
    shareName?: string | null;
  }

  /** What is to be judged. */
  export type Operation =
    /** PUBLISH or Will Message. */
    | { tag: 'publish'; val: PublishOperation }
    /** SUBSCRIBE. */
    | { tag: 'subscribe'; val: SubscribeOperation };

  /** The link's word. */
  export type Decision =
    /** Permit it. */
    | { tag: 'allow' }
    /** Refuse it. */
    | { tag: 'deny'; val: Denial }
    /** No word from this link. */
    | { tag: 'next' };

  /** A decision and for how long it may be used again. */
  export interface Ruling {
    /** The link's word. */
    decision: Decision;
    /** 0 = only this once, at most 3,600; none = 60. */
    ttlSeconds?: number | null;
  }

  export interface OperationAuthorizer {
    /**
     * Topic Filters of what this plugin wants to judge: a PUBLISH whose topic one of them matches, a
     * SUBSCRIBE whose filter has a topic in common with one. Asked once per generation, after `init`;
     * at most 100. `[operations] topics` of the manifest replaces them.
     */
    topics(): string[];
    /**
     * Judges one operation.
     * @throws {PluginError}
     */
    authorize(subject: Subject, operation: Operation): Ruling;
  }
}

/**
 * Hook: changes or swallows messages on their way to subscribers, retained ones too. What the broker
 * stores stays as it was published.
 */
declare module 'portcullis:plugin/outbound-transform@0.1.0' {
  import type { Client } from 'portcullis:plugin/types@0.1.0';
  export type { Client };

  import type { PluginError } from 'portcullis:plugin/types@0.1.0';
  export type { PluginError };

  import type { Message } from 'portcullis:plugin/messages@0.1.0';
  export type { Message };

  import type { Patch } from 'portcullis:plugin/messages@0.1.0';
  export type { Patch };

  /** What the result depends on. */
  export type Scope =
    /** Only on the message: called once for all of its subscribers. */
    | 'message'
    /** On who gets it: called for each of them. */
    | 'subscriber';

  /** The link's word. */
  export type Outcome =
    /** As it is. */
    | { tag: 'unchanged' }
    /** With these changes; the topic cannot change. */
    | { tag: 'patched'; val: Patch }
    /** Not delivered. */
    | { tag: 'swallow' };

  /** What this plugin works on. */
  export interface Claim {
    /** Topic Filters, at most 100. `[transform] outbound` of the manifest replaces them. */
    topics: string[];
    /** What the result depends on. */
    scope: Scope;
  }

  export interface OutboundTransform {
    /** Asked once per generation, after `init`. */
    claims(): Claim;
    /**
     * Works on one message. `subscriber` is none where the scope is `message`.
     * @throws {PluginError}
     */
    transform(subscriber: Client | null, message: Message): Outcome;
  }
}

/** Exported by every plugin. */
declare module 'portcullis:plugin/plugin@0.1.0' {
  import type { PluginError } from 'portcullis:plugin/types@0.1.0';
  export type { PluginError };

  /** What the plugin says of itself. */
  export interface Info {
    /** Its name; shown beside the file's name. */
    name: string;
    /** Its version. */
    version: string;
  }

  export interface Plugin {
    /** Tells name and version. Must not fail and must not call the host. */
    describe(): Info;
    /**
     * Reads and validates the configuration. Runs once per instance, before any other call but
     * `describe`. An error keeps the new generation from going live.
     * @throws {PluginError}
     */
    init(): void;
    /**
     * Runs after `init` in one shadow instance before the generation goes live; the place for
     * checks that cost time, such as reading a whole file. An error keeps the new generation from
     * going live.
     * @throws {PluginError}
     */
    selfTest(): void;
  }
}

/**
 * Optional, beside hooks: hands what an instance keeps in memory over to the next generation of the
 * same plugin. What must not be lost belongs into `state`.
 */
declare module 'portcullis:plugin/state-transfer@0.1.0' {
  import type { PluginError } from 'portcullis:plugin/types@0.1.0';
  export type { PluginError };

  export interface StateTransfer {
    /**
     * Of one instance of the generation that goes away; at most 1 MiB.
     * @throws {PluginError}
     */
    exportState(): Uint8Array;
    /**
     * Called after `init` in each instance of the new generation. `version` is what `describe` of
     * the old one said. An error keeps the new generation from going live.
     * @throws {PluginError}
     */
    importState(version: string, state: Uint8Array): void;
  }
}

/**
 * Hook: is called again and again, once per plugin and not once per instance. For work that no
 * client's call should wait for. What it learns must go through `state` to reach other instances.
 */
declare module 'portcullis:plugin/timer@0.1.0' {
  import type { PluginError } from 'portcullis:plugin/types@0.1.0';
  export type { PluginError };

  export interface Timer {
    /**
     * Seconds from the end of one call to the begin of the next, 1 to 86,400. Asked once per
     * generation, after `init`. The first call comes when the generation goes live.
     */
    intervalSeconds(): number;
    /**
     * It is time. An error is counted and logged; the next call comes all the same.
     * @throws {PluginError}
     */
    onTimer(): void;
  }
}
