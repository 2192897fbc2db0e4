// Package export_portcullis_plugin_authenticator is where wit_exports looks for the hook.
package export_portcullis_plugin_authenticator

import "first-plugin/hooks"

var Authenticate = hooks.Authenticate
