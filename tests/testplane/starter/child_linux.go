package main

import "syscall"

// endsWithParent kills the child should the starter itself be killed.
func endsWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
