// Package export_portcullis_plugin_plugin is where wit_exports looks for the hook.
package export_portcullis_plugin_plugin

import "first-plugin/hooks"

var (
	Describe = hooks.Describe
	Init     = hooks.Init
	SelfTest = hooks.SelfTest
)
