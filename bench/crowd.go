package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	crowdLists  = 64
	crowdWithin = 2 * time.Minute
	// crowdEvery is how often memory is read meanwhile.
	crowdEvery = 20 * time.Millisecond
)

// crowding is what one client does to another.
type crowding struct {
	p99     time.Duration // of the other client's GETs
	grown   int64         // bytes of resident memory, at the highest
	refused int64         // requests of either that the server answered with 429
}

// measureCrowd lets one client send full LISTs all at once and another get one
// pod after the other until the last LIST has ended.
func measureCrowd(ctx context.Context, p *peer) (crowding, error) {
	ctx, cancel := context.WithTimeout(ctx, crowdWithin)
	defer cancel()
	other, err := p.newClient(otherToken)
	if err != nil {
		return crowding{}, err
	}
	defer other.close()
	get := call{method: http.MethodGet, path: podPath(0)}
	if _, err := other.drain(ctx, get); err != nil {
		return crowding{}, err
	}
	before, err := resident(p.server.PID())
	if err != nil {
		return crowding{}, err
	}

	var refused atomic.Int64
	listing, stop := context.WithCancel(ctx)
	defer stop()
	lists, lctx := errgroup.WithContext(ctx)
	for range crowdLists {
		lists.Go(func() error { return listOnce(lctx, p.client, &refused) })
	}
	ended := make(chan error, 1)
	go func() {
		ended <- lists.Wait()
		stop()
	}()
	highest := make(chan int64, 1)
	go func() { highest <- highestMemory(listing, p.server.PID()) }()

	took, err := getUntil(ctx, listing, other, get, &refused)
	if err != nil {
		return crowding{}, err
	}
	if err := <-ended; err != nil {
		return crowding{}, err
	}
	slices.Sort(took)
	return crowding{
		p99:     took[len(took)*99/100],
		grown:   max(0, <-highest-before),
		refused: refused.Load(),
	}, nil
}

func listOnce(ctx context.Context, c *client, refused *atomic.Int64) error {
	_, err := c.drain(ctx, call{method: http.MethodGet, path: podsPath})
	if r, ok := asRefusal(err); ok && r.status == http.StatusTooManyRequests {
		refused.Add(1)
		return nil
	}
	return err
}

// getUntil repeats a request, at least once, until the context listing ends and
// returns how long each took. A refused one is sent again when the server says,
// as clients do, and its time goes on.
func getUntil(ctx, listing context.Context, c *client, q call, refused *atomic.Int64) ([]time.Duration, error) {
	var took []time.Duration
	for len(took) == 0 || listing.Err() == nil {
		began := time.Now()
		for {
			_, err := c.drain(ctx, q)
			if err == nil {
				break
			}
			r, ok := asRefusal(err)
			if !ok || r.status != http.StatusTooManyRequests {
				return nil, fmt.Errorf("GET beside LISTs: %w", err)
			}
			refused.Add(1)
			select {
			case <-time.After(max(r.retryAfter, time.Second)):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

// highestMemory watches a process until ctx ends.
func highestMemory(ctx context.Context, pid int) int64 {
	tick := time.NewTicker(crowdEvery)
	defer tick.Stop()
	var highest int64
	for {
		// A process that is gone shows in the requests, not here.
		if bytes, err := resident(pid); err == nil {
			highest = max(highest, bytes)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return highest
		}
	}
}
