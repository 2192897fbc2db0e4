// Package export_portcullis_plugin_authorizer is where wit_exports looks for the hook.
package export_portcullis_plugin_authorizer

import "first-plugin/hooks"

var Permissions = hooks.Permissions
