package cluster

import "syscall"

// dieWithParent makes the kernel end a server whose test was killed before it
// could end the server itself.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
