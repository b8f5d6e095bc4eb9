package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	watchers     = 200
	perTransport = 50
	fanoutEvents = 100
	fanoutGoal   = 10 * time.Microsecond
	fanoutWithin = 2 * time.Minute
)

// measureFanout returns the CPU time of one event to one of many watchers: that
// of patches while they watch, less that of the same patches before they do.
func measureFanout(ctx context.Context, p *peer, round int) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, fanoutWithin)
	defer cancel()
	alone, err := cpuOf(p, func() error { return patchOne(ctx, p, round, "alone") })
	if err != nil {
		return sample{}, err
	}
	version, err := listVersion(ctx, p)
	if err != nil {
		return sample{}, err
	}
	group, ctx := errgroup.WithContext(ctx)
	opened := make(chan struct{}, watchers)
	sizes := make(chan int64, watchers)
	for range watchers / perTransport {
		c, err := p.newClient(benchToken)
		if err != nil {
			return sample{}, err
		}
		defer c.close()
		for range perTransport {
			group.Go(func() error { return watch(ctx, c, version, opened, sizes) })
		}
	}
	for range watchers {
		select {
		case <-opened:
		case <-ctx.Done():
			return sample{}, fmt.Errorf("open %d watches: %w", watchers, firstError(group, ctx))
		}
	}
	watched, err := cpuOf(p, func() error {
		if err := patchOne(ctx, p, round, "watched"); err != nil {
			return err
		}
		return group.Wait()
	})
	if err != nil {
		return sample{}, err
	}
	return sample{perOp: (watched - alone) / (watchers * fanoutEvents), bytes: <-sizes / fanoutEvents}, nil
}

// firstError is the error that has ended the watches, or else the reason of ctx.
func firstError(group *errgroup.Group, ctx context.Context) error {
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

func cpuOf(p *peer, work func() error) (time.Duration, error) {
	before, err := p.cpu()
	if err != nil {
		return 0, err
	}
	if err := work(); err != nil {
		return 0, err
	}
	after, err := p.cpu()
	return after - before, err
}

// patchOne changes one pod fanoutEvents times.
func patchOne(ctx context.Context, p *peer, round int, phase string) error {
	for i := range fanoutEvents {
		body := fmt.Appendf(nil, `{"metadata":{"annotations":{"example.com/fanout":"%s-%02d-%03d"}}}`, phase, round, i)
		if _, err := p.client.drain(ctx, call{method: http.MethodPatch, path: podPath(0), contentType: smpType, body: body}); err != nil {
			return err
		}
	}
	return nil
}

func listVersion(ctx context.Context, p *peer) (string, error) {
	body, err := p.client.read(ctx, call{method: http.MethodGet, path: podsPath + "?limit=1"})
	if err != nil {
		return "", err
	}
	var list struct {
		Metadata struct{ ResourceVersion string }
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return "", fmt.Errorf("decode list: %w", err)
	}
	return list.Metadata.ResourceVersion, nil
}

// watch reads until it has seen every event, each on one line, and reports that
// it is open and how many bytes it got in the end.
func watch(ctx context.Context, c *client, version string, opened chan<- struct{}, sizes chan<- int64) error {
	resp, err := c.open(ctx, call{
		method: http.MethodGet,
		path:   podsPath + "?watch=true&timeoutSeconds=300&resourceVersion=" + version,
	})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	opened <- struct{}{}
	lines := bufio.NewReaderSize(resp.Body, 64<<10)
	var size int64
	for range fanoutEvents {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("read watch: %w", err)
		}
		if len(line) < 1<<10 {
			return fmt.Errorf("read watch: got %q, want an event of a pod", line)
		}
		size += int64(len(line))
	}
	sizes <- size
	return nil
}
