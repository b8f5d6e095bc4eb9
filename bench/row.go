package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// row is one line of the table that is measured as CPU time per request.
type row struct {
	key  string // name on the command line
	text string
	goal time.Duration
	ops  int
	// alone says that requests are sent one after the other; otherwise
	// options.inFlight of them are under way at any time.
	alone bool
	// next makes request i of a round.
	next func(round, i int) (call, error)
	// check looks into the first answer of a round; nil checks nothing more.
	check func(body []byte) error
	// sameSize says that all answers of a round must have one size. Tables
	// hold ages, which grow by a digit now and then.
	sameSize bool
	// after tidies up what a round has left; it is not measured.
	after func(context.Context, *peer) error
}

// sample is what one round of a row has shown.
type sample struct {
	perOp time.Duration
	bytes int64 // of the last answer
}

// requestRows are the rows that send one kind of request, for n loaded pods.
func requestRows(n int) []row {
	rows := []row{
		{
			key: "get", text: "GET pod, JSON", goal: 75 * time.Microsecond, ops: 4000,
			next: func(_, i int) (call, error) { return call{method: http.MethodGet, path: podPath(i % n)}, nil },
		},
		list("list-json", fmt.Sprintf("LIST %d pods, JSON", n), 35*time.Millisecond, 12, "", jsonType, n),
		list("list-protobuf", fmt.Sprintf("LIST %d pods, protobuf", n), 25*time.Millisecond, 16, "", protoType, n),
		list("list-table", "LIST as Table", 22*time.Millisecond, 12, "", tableType, n),
		list("list-label", fmt.Sprintf("LIST by label, %d of %d", podsPerLabel, n), 500*time.Microsecond, 400,
			"?labelSelector="+url.QueryEscape("group="+groupName(0)), jsonType, podsPerLabel),
		list("list-node", fmt.Sprintf("LIST by spec.nodeName, %d of %d", podsPerNode, n), 800*time.Microsecond, 300,
			"?fieldSelector="+url.QueryEscape("spec.nodeName="+nodeName(0)), jsonType, podsPerNode),
		list("list-limit", "LIST limit=500", 4*time.Millisecond, 60, "?limit=500", jsonType, 500),
	}
	return append(rows, writeRows(n)...)
}

// ratioGoal is how many times less CPU than kube-apiserver's the requests of a row should cost; 0 is no goal.
func ratioGoal(key string) float64 {
	switch key {
	case "get":
		return 4
	case "list-json", "list-table":
		return 6
	case "create", "patch":
		return 1.5
	}
	return 0
}

func writeRows(n int) []row {
	return []row{
		{
			key: "create", text: "CREATE pod", goal: 500 * time.Microsecond, ops: 1000,
			next: func(round, i int) (call, error) {
				body, err := createBody(round, i)
				return call{method: http.MethodPost, path: createPath, body: body, want: http.StatusCreated}, err
			},
			after: func(ctx context.Context, p *peer) error {
				_, err := p.client.drain(ctx, call{method: http.MethodDelete, path: createPath})
				return err
			},
		},
		{
			key: "patch", text: "PATCH (strategic merge), status PATCH", goal: 600 * time.Microsecond, ops: 1000,
			next: func(round, i int) (call, error) {
				q := call{method: http.MethodPatch, path: podPath(i % n), contentType: smpType}
				q.body = fmt.Appendf(nil, `{"metadata":{"annotations":{"example.com/patched":"%d-%d"}}}`, round, i)
				if i%2 == 1 {
					q.path += "/status"
					q.body = fmt.Appendf(nil, `{"status":{"message":"%d-%d"}}`, round, i)
				}
				return q, nil
			},
		},
		{
			key: "apply", text: "server-side APPLY, configmap", goal: 300 * time.Microsecond, ops: 400, alone: true,
			next: func(round, i int) (call, error) {
				return call{
					method: http.MethodPatch, contentType: applyType,
					path: "/api/v1/namespaces/" + benchNamespace + "/configmaps/applied?fieldManager=bench",
					body: fmt.Appendf(nil, "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: applied\ndata:\n  round: \"%d\"\n  value: \"%d\"\n", round, i),
					want: applyStatus(round, i),
				}, nil
			},
		},
	}
}

// applyStatus is 201 for the request that creates the object and 200 after it.
// The warm-up, round 0, comes first.
func applyStatus(round, i int) int {
	if round == 0 && i == 0 {
		return http.StatusCreated
	}
	return http.StatusOK
}

func list(key, text string, goal time.Duration, ops int, query, accept string, want int) row {
	return row{
		key: key, text: text, goal: goal, ops: ops, sameSize: accept != tableType, alone: query == "",
		next: func(int, int) (call, error) {
			return call{method: http.MethodGet, path: podsPath + query, accept: accept}, nil
		},
		check: func(body []byte) error { return countItems(body, accept, want) },
	}
}

// countItems fails unless a list holds want objects. Of protobuf only the
// envelope is looked at.
func countItems(body []byte, accept string, want int) error {
	if accept == protoType {
		if !bytes.HasPrefix(body, []byte("k8s\x00")) || bytes.Count(body, []byte("pod-template-hash")) < want {
			return fmt.Errorf("%d bytes are not a protobuf list of %d pods", len(body), want)
		}
		return nil
	}
	var list struct {
		Kind        string
		Items, Rows []json.RawMessage
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return fmt.Errorf("decode list: %w", err)
	}
	if table := strings.Contains(accept, "as=Table"); table != (list.Kind == "Table") {
		return fmt.Errorf("asked for %q and got a %s", accept, list.Kind)
	}
	if got := len(list.Items) + len(list.Rows); got != want {
		return fmt.Errorf("list of %d objects, want %d", got, want)
	}
	return nil
}

// measure runs one round of a row against one server, with so many requests under
// way at a time.
func (r row) measure(ctx context.Context, p *peer, round, ops, inFlight int) (sample, error) {
	if r.after != nil {
		defer func() { _ = r.after(ctx, p) }() // what is left over disturbs nothing but memory
	}
	if err := r.checkOnce(ctx, p); err != nil {
		return sample{}, err
	}
	if r.alone {
		inFlight = 1
	}
	var size atomic.Int64 // of the last answer
	used, err := cpuOf(p, func() error {
		group, ctx := errgroup.WithContext(ctx)
		for worker := range inFlight {
			group.Go(func() error {
				for i := worker; i < ops; i += inFlight {
					if err := r.one(ctx, p, round, i, &size); err != nil {
						return err
					}
				}
				return nil
			})
		}
		return group.Wait()
	})
	if err != nil {
		return sample{}, err
	}
	return sample{perOp: used / time.Duration(ops), bytes: size.Load()}, nil
}

// one sends request i of a round and compares the size of its answer with the
// last one's.
func (r row) one(ctx context.Context, p *peer, round, i int, size *atomic.Int64) error {
	q, err := r.next(round, i)
	if err != nil {
		return err
	}
	n, err := p.client.drain(ctx, q)
	if err != nil {
		return err
	}
	if last := size.Swap(n); r.sameSize && last != 0 && last != n {
		return fmt.Errorf("%s: answers of %d and %d bytes", r.text, last, n)
	}
	return nil
}

// checkOnce looks into one answer before the clock runs.
func (r row) checkOnce(ctx context.Context, p *peer) error {
	if r.check == nil {
		return nil
	}
	q, err := r.next(0, 0)
	if err != nil {
		return err
	}
	body, err := p.client.read(ctx, q)
	if err != nil {
		return err
	}
	if err := r.check(body); err != nil {
		return fmt.Errorf("%s of %s: %w", r.text, p.name, err)
	}
	return nil
}
