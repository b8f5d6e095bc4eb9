// Command diff sends the same requests to kube-apiserver and to Gatehouse and reports where they answer differently. It is
// run by make diff, in the directory of the e2e module; README.md there says how to read what it prints.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var o options
	o.register(flag.CommandLine)
	flag.Parse()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "diff:", err)
		os.Exit(1)
	}
}
