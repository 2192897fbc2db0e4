// Package hooks is a plugin for the MQTT broker Portcullis: who logs in with the password of `[config]` is who it says,
// has topics of its own, and names devices in capitals.
//
// What the hooks mean is written in wit/deps/portcullis. A panic ends the instance and counts as a refusal; its message
// is in the broker's log.
package hooks

import (
	"bytes"
	"crypto/subtle"

	authenticator "first-plugin/imports/portcullis_plugin_authenticator"
	authorizer "first-plugin/imports/portcullis_plugin_authorizer"
	config "first-plugin/imports/portcullis_plugin_config"
	grants "first-plugin/imports/portcullis_plugin_grants"
	inbound "first-plugin/imports/portcullis_plugin_inbound_transform"
	messages "first-plugin/imports/portcullis_plugin_messages"
	permissions "first-plugin/imports/portcullis_plugin_permissions"
	plugin "first-plugin/imports/portcullis_plugin_plugin"
	types "first-plugin/imports/portcullis_plugin_types"

	. "go.bytecodealliance.org/pkg/wit/types"
)

const (
	badUserNameOrPassword = 0x86
	payloadFormatInvalid  = 0x99
)

// The broker tells why a hook came to no decision.
type pluginError = types.PluginError

var password []byte

// Describe must not fail and must not call the host.
func Describe() plugin.Info {
	return plugin.Info{Name: "first-plugin", Version: "0.1.0"}
}

// Init runs once per instance. An error keeps the plugin from going live.
func Init() Result[Unit, pluginError] {
	configured := config.Get("password").SomeOr("")
	if configured == "" {
		why := "config.password is missing"
		return Err[Unit](types.MakePluginErrorMisconfigured(why))
	}
	password = []byte(configured)
	return Ok[Unit, pluginError](Unit{})
}

// SelfTest runs once before the plugin goes live.
func SelfTest() Result[Unit, pluginError] {
	return Ok[Unit, pluginError](Unit{})
}

// Authenticate judges who wants to connect.
func Authenticate(
	connection types.Connection,
	credentials authenticator.Credentials,
) Result[authenticator.Outcome, pluginError] {
	outcome := func() authenticator.Outcome {
		principal := connection.Username.SomeOr("")
		if principal == "" {
			return authenticator.MakeOutcomeNext()
		}
		if subtle.ConstantTimeCompare(credentials.Password.SomeOr(nil), password) != 1 {
			denial := types.Denial{ReasonCode: badUserNameOrPassword}
			return authenticator.MakeOutcomeDeny(denial)
		}
		grant := grants.Grant{Principal: Some(principal)}
		return authenticator.MakeOutcomeAllow(grant)
	}
	return Ok[authenticator.Outcome, pluginError](outcome())
}

// Permissions are asked for who was let in. The host fills in the name, so that one answer holds for everyone.
func Permissions(
	_ types.Subject,
) Result[authorizer.Answer, pluginError] {
	own := permissions.Rule{
		Effect:   permissions.Effect_Allow,
		Activity: permissions.Activity_Publish | permissions.Activity_Subscribe,
		Filter:   "devices/${username}/#",
		Qos: permissions.QosSet_AtMostOnce | permissions.QosSet_AtLeastOnce |
			permissions.QosSet_ExactlyOnce,
		Retain: permissions.Condition_Any,
		Shared: permissions.Condition_No,
	}
	set := authorizer.PermissionSet{
		Rules:      []permissions.Rule{own},
		TtlSeconds: Some[uint32](300),
		HoldsFor:   authorizer.HoldsFor_Everyone,
	}
	answer := authorizer.MakeAnswerPermissions(set)
	return Ok[authorizer.Answer, pluginError](answer)
}

// Topics are what Transform wants to see.
func Topics() []string {
	return []string{"devices/+/name"}
}

// Transform works on one message that comes in.
func Transform(
	_ inbound.Source,
	_ types.Client,
	message messages.Message,
) Result[inbound.Outcome, pluginError] {
	outcome := func() inbound.Outcome {
		if len(message.Payload) == 0 {
			why := Some("a device has a name")
			denial := types.Denial{ReasonCode: payloadFormatInvalid, Reason: why}
			return inbound.MakeOutcomeReject(denial)
		}
		patch := messages.Patch{Payload: Some(capitals(message.Payload))}
		return inbound.MakeOutcomePatched(patch)
	}
	return Ok[inbound.Outcome, pluginError](outcome())
}

// Letters only; what is no text stays.
func capitals(payload []byte) []byte {
	payload = bytes.Clone(payload)
	for i, letter := range payload {
		if 'a' <= letter && letter <= 'z' {
			payload[i] = letter - 'a' + 'A'
		}
	}
	return payload
}
