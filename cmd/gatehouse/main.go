// Command gatehouse is a Kubernetes API server and the tools around it.
//
// gatehouse serve needs no configuration; gatehouse help lists the rest. Called as kube-apiserver it takes that
// program's flags and has its defaults. It ends with 0 when it has done what was asked, with 2 when the command line is
// wrong and with 1 when something else is, and then says what in lines that begin with its name.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	stop := startProfile()
	code := run(os.Args, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run executes a command line and returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	program := filepath.Base(args[0])
	root := newRoot(program, args[0])
	root.SetArgs(args[1:])
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(context.Background())
	if err == nil {
		return exitOK
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(stderr, "%s: %s\n", program, line)
	}
	if errors.As(err, new(usageError)) {
		return exitUsage
	}
	return exitFailure
}

// usageError is a fault of the command line, as opposed to one of the world.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }
