"""A plugin for the MQTT broker Portcullis: who logs in with the password of `[config]` is who it
says, has topics of its own, and names devices in capitals.

What the hooks mean is written in wit/deps/portcullis. An exception other than `Err` with a plugin
error ends the instance and counts as a refusal.
"""

import hmac

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.authenticator import Outcome_Allow, Outcome_Deny, Outcome_Next
from wit_world.exports.authorizer import Answer_Permissions, HoldsFor, PermissionSet
from wit_world.exports.inbound_transform import Outcome_Patched, Outcome_Reject
from wit_world.exports.plugin import Info
from wit_world.imports import config
from wit_world.imports.grants import Grant
from wit_world.imports.messages import Patch
from wit_world.imports.permissions import Activity, Condition, Effect, QosSet, Rule
from wit_world.imports.types import Denial, PluginError_Misconfigured

BAD_USER_NAME_OR_PASSWORD = 0x86
PAYLOAD_FORMAT_INVALID = 0x99

password = b""


class Plugin(exports.Plugin):
    def describe(self) -> Info:
        return Info("first-plugin", "0.1.0")

    def init(self) -> None:
        """Once per instance. An error keeps the plugin from going live."""
        global password
        configured = config.get("password")
        if not configured:
            raise Err(PluginError_Misconfigured("config.password is missing"))
        password = configured.encode()

    def self_test(self) -> None:
        pass


class Authenticator(exports.Authenticator):
    def authenticate(self, connection, credentials):
        if not connection.username:
            return Outcome_Next()
        if not hmac.compare_digest(credentials.password or b"", password):
            return Outcome_Deny(Denial(BAD_USER_NAME_OR_PASSWORD, None))
        return Outcome_Allow(
            Grant(
                principal=connection.username,
                groups=[],
                attributes=[],
                permissions=[],
                expires_at_unix=None,
                session_expiry_seconds_max=None,
                limits=None,
                user_properties=[],
            )
        )


class Authorizer(exports.Authorizer):
    def permissions(self, subject):
        """The host fills in the name, so that one answer holds for everyone."""
        own = Rule(
            effect=Effect.ALLOW,
            activity=Activity.PUBLISH | Activity.SUBSCRIBE,
            filter="devices/${username}/#",
            qos=QosSet.AT_MOST_ONCE | QosSet.AT_LEAST_ONCE | QosSet.EXACTLY_ONCE,
            retain=Condition.ANY,
            shared=Condition.NO,
            share_name=None,
        )
        return Answer_Permissions(PermissionSet([own], 300, HoldsFor.EVERYONE))


class InboundTransform(exports.InboundTransform):
    def topics(self):
        return ["devices/+/name"]

    def transform(self, source, publisher, message):
        if not message.payload:
            return Outcome_Reject(Denial(PAYLOAD_FORMAT_INVALID, "a device has a name"))
        return Outcome_Patched(Patch(None, bytes(message.payload).upper(), None, None, None))
