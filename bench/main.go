package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// options are the command line.
type options struct {
	servers       []string
	rows          []string // empty is all
	rounds, pods  int
	inFlight      int
	within        time.Duration
	out           string
	gatehouse     string // executable; empty is a fresh build
	gatehouseArgs []string
}

func main() {
	opts, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = start(opts)
	}
	if err != nil {
		slog.Error("bench", "err", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	servers := flags.String("servers", nameKube+","+nameGatehouse, "servers to measure")
	rows := flags.String("rows", "", "rows to measure, comma-separated (start, idle, get, list-json, list-protobuf, list-table, list-label, list-node, list-limit, create, patch, apply, watch, crowd, after); all by default")
	gatehouseArgs := flags.String("gatehouse-args", "", "further arguments of gatehouse serve, separated by spaces")
	var o options
	flags.IntVar(&o.rounds, "rounds", 5, "rounds, of which the median is shown")
	flags.IntVar(&o.pods, "pods", 5000, "pods to load; at least 500")
	flags.IntVar(&o.inFlight, "in-flight", 16, "requests under way at a time, other than full LISTs and APPLY, of which there is one")
	flags.DurationVar(&o.within, "within", 30*time.Minute, "time after which the run is given up")
	flags.StringVar(&o.gatehouse, "gatehouse", "", "executable to measure as Gatehouse, instead of a build of this source")
	flags.StringVar(&o.out, "out", "", "file to write the table to as well")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	o.servers = strings.Split(*servers, ",")
	o.rows = strings.FieldsFunc(*rows, func(r rune) bool { return r == ',' })
	o.gatehouseArgs = strings.Fields(*gatehouseArgs)
	if o.rounds < 1 || o.pods < 500 || o.inFlight < 1 || flags.NArg() > 0 {
		return options{}, errors.New("want at least 1 round, 500 pods, 1 request in flight and no arguments beyond flags")
	}
	return o, nil
}

// wants says whether a row was asked for.
func (o options) wants(key string) bool {
	return len(o.rows) == 0 || slices.Contains(o.rows, key)
}

// start runs the benchmark in a directory that does not outlive a success.
func start(o options) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	ctx, cancelTimeout := context.WithTimeout(ctx, o.within)
	defer cancelTimeout()
	dir, err := os.MkdirTemp("", "gatehouse-bench-")
	if err != nil {
		return fmt.Errorf("make working directory: %w", err)
	}
	r, err := run(ctx, o, dir)
	if err != nil {
		return fmt.Errorf("%w (logs are in %s)", err, dir)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove working directory: %w", err)
	}
	if err := r.write(os.Stdout); err != nil || o.out == "" {
		return err
	}
	file, err := os.Create(filepath.Clean(o.out))
	if err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return errors.Join(r.write(file), file.Close())
}

// commit names the measured source, with a mark when it was changed since.
func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--abbrev=12").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
