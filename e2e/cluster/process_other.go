//go:build !linux

package cluster

import "syscall"

// dieWithParent has no equivalent here: a server outlives a killed test.
func dieWithParent() *syscall.SysProcAttr { return nil }
