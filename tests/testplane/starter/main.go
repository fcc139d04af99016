// Command starter starts a control plane for tests and the demo, and ends what
// it started together with its owner.
//
//	starter run --assets DIR [--dir DIR]   etcd, kube-apiserver and kube-controller-manager
//	starter tie COMMAND [ARGUMENT...]      any other command
//
// The owner holds the starter's standard input open. When it closes, because
// the owner ended in whatever way, SIGKILL included, everything started here is
// killed.
package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
)

const usage = `starter run --assets DIR [--dir DIR]
starter tie COMMAND [ARGUMENT...]
`

func main() {
	// A child's parent-death signal fires when the thread that started it ends, so all are started here.
	runtime.LockOSThread()
	if len(os.Args) < 3 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	switch os.Args[1] {
	case "run":
		if err := run(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "starter:", err)
			os.Exit(1)
		}
	case "tie":
		os.Exit(tie(os.Args[2:]))
	default:
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
}

// ownerGone is closed when standard input ends.
func ownerGone() <-chan struct{} {
	gone := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(gone)
	}()
	return gone
}

// tie runs one command, kills it when the owner goes, and ends with its exit code.
//
// Signals are for the command. Its owner sends them to the process group, so they aren't passed on here, only survived.
func tie(command []string) int {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	child := exec.Command(command[0], command[1:]...)
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	child.SysProcAttr = endsWithParent()
	if err := child.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "starter:", err)
		return 127
	}
	gone := ownerGone()
	go func() {
		<-gone
		_ = child.Process.Kill()
	}()
	_ = child.Wait()
	if status, ok := child.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return child.ProcessState.ExitCode()
}
