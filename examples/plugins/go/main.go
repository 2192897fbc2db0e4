// The module that becomes the plugin: its functions are in exports/, main is never called.
package main

import _ "first-plugin/exports/wit_exports"

func main() {}
