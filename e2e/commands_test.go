package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gatehouse/gatehouse/e2e/cluster"
)

const (
	pollEvery = 20 * time.Millisecond
	// pollLimit bounds every wait of a script.
	pollLimit = time.Minute
)

// commands are what the scripts can say beyond exec, stdout and grep.
func commands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"ready":      positive("ready data-dir", 1, ready),
		"waitfor":    positive("waitfor pattern file", 2, waitFor),
		"freeport":   positive("freeport variable", 1, freePort),
		"private":    positive("private path", 1, private),
		"flood":      positive("flood kubeconfig", 1, flood),
		"eventually": eventually,
		"edit":       positive("edit file line-number (remove | old=new)", 3, edit),
	}
}

// positive makes a command with a fixed number of arguments that cannot be negated.
func positive(usage string, n int, run func(*testscript.TestScript, []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) != n {
			ts.Fatalf("usage: %s", usage)
		}
		run(ts, args)
	}
}

// ready waits until the server that uses a data directory answers, and points
// kubectl ($KUBECONFIG) and the script ($SERVER) at it.
func ready(ts *testscript.TestScript, args []string) {
	kubeconfig := filepath.Join(ts.MkAbs(args[0]), "admin.kubeconfig")
	poll(ts, "a server that is ready in "+args[0], func() bool {
		// The file of the last run is there until a restart writes the new
		// one: its address does not answer, so that looks like no file.
		cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
		if err != nil {
			return false
		}
		client, err := rest.HTTPClientFor(cfg)
		if err != nil {
			return false
		}
		defer client.CloseIdleConnections()
		resp, err := client.Get(cfg.Host + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		ts.Setenv("SERVER", cfg.Host)
		return resp.StatusCode == http.StatusOK
	})
	ts.Setenv("KUBECONFIG", kubeconfig)
}

// waitFor waits until a file that another process writes matches a pattern.
func waitFor(ts *testscript.TestScript, args []string) {
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	path := ts.MkAbs(args[1])
	poll(ts, fmt.Sprintf("%q in %s", args[0], args[1]), func() bool {
		data, err := os.ReadFile(path)
		return err == nil && pattern.Match(data)
	})
}

func poll(ts *testscript.TestScript, what string, done func() bool) {
	ctx, cancel := context.WithTimeout(context.Background(), pollLimit)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			ts.Fatalf("gave up after %s waiting for %s", pollLimit, what)
		}
	}
}

func freePort(ts *testscript.TestScript, args []string) {
	port, err := cluster.FreePort()
	ts.Check(err)
	ts.Setenv(args[0], strconv.Itoa(port))
}

// eventually runs a program again and again until it succeeds or, negated, until
// it fails. Its last output is there for stdout and stderr.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: [!] eventually program [args...]")
	}
	poll(ts, fmt.Sprintf("%q to change its mind", args), func() bool {
		return (ts.Exec(args[0], args[1:]...) == nil) != neg
	})
}

// private fails if anyone but the owner may use a file or directory.
func private(ts *testscript.TestScript, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		ts.Fatalf("%s has mode %o, others may use it", args[0], perm)
	}
}

// edit changes or removes one line of a file, counted from 1.
func edit(ts *testscript.TestScript, args []string) {
	path := ts.MkAbs(args[0])
	data, err := os.ReadFile(path)
	ts.Check(err)
	number, err := strconv.Atoi(args[1])
	ts.Check(err)
	changed, err := editLine(data, number, args[2])
	ts.Check(err)
	ts.Check(os.WriteFile(path, changed, 0o600))
}

// flood sends requests as the user of a kubeconfig until the server refuses one
// with 429, and prints that answer.
func flood(ts *testscript.TestScript, args []string) {
	const senders, perSender = 32, 500
	cfg, err := clientcmd.BuildConfigFromFlags("", ts.MkAbs(args[0]))
	ts.Check(err)
	client, err := rest.HTTPClientFor(cfg)
	ts.Check(err)
	defer client.CloseIdleConnections()

	ctx, cancel := context.WithTimeout(context.Background(), pollLimit)
	defer cancel()
	refused := make(chan string, senders)
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for range perSender {
				answer, ok := getOnce(ctx, client, cfg.Host+"/api/v1/namespaces/default/pods")
				if !ok {
					continue
				}
				refused <- answer
				cancel()
				return
			}
		})
	}
	wg.Wait()
	select {
	case answer := <-refused:
		_, err = io.WriteString(ts.Stdout(), answer)
		ts.Check(err)
	default:
		ts.Fatalf("%d requests and none was refused with 429", senders*perSender)
	}
}

// getOnce returns the answer as text if it was a 429.
func getOnce(ctx context.Context, client *http.Client, url string) (string, bool) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", false
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil || resp.StatusCode != http.StatusTooManyRequests {
		return "", false
	}
	return fmt.Sprintf("%s\nRetry-After: %s\n\n%s\n", resp.Status, resp.Header.Get("Retry-After"), body), true
}
