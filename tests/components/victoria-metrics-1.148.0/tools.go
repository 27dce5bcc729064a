//go:build tools

// Package components pins the command that tests build.
package components

import _ "github.com/VictoriaMetrics/VictoriaMetrics/app/vmalert"
