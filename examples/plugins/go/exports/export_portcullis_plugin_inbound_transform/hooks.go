// Package export_portcullis_plugin_inbound_transform is where wit_exports looks for the hook.
package export_portcullis_plugin_inbound_transform

import "first-plugin/hooks"

var (
	Topics    = hooks.Topics
	Transform = hooks.Transform
)
