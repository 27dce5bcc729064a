//go:build tools

// Package components pins the commands that the test bed builds.
package components

import (
	_ "go.etcd.io/etcd/server/v3"
)
