package services

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/util/net"
)

// Cell is one value in etcd.
type Cell interface {
	// Get reads the value linearizably; revision is 0 where there is none.
	Get(ctx context.Context) (value []byte, revision int64, err error)
	// Swap replaces the value if its last change is at the revision, 0 meaning that there is none. swapped is false, and nothing has
	// changed, if it is not. After an error the outcome is unknown.
	Swap(ctx context.Context, value []byte, revision int64) (swapped bool, now int64, err error)
}

// portState is the stored bits at a revision. It is never changed.
type portState struct {
	bits     bits
	revision int64
}

// ports are the node ports of the cluster.
type ports struct {
	cell  Cell
	of    net.PortRange
	known atomic.Pointer[portState] // what was last read or written here; others may have written since
	turn  chan struct{}             // holds an element while a change is made, since two of this process would only make one another fail
}

func newPorts(cell Cell, of net.PortRange) *ports {
	return &ports{cell: cell, of: of, turn: make(chan struct{}, 1)}
}

// maxPortTries bounds how often a change is made again because other servers were first.
const maxPortTries = 64

// change calls edit with the bits and stores what it makes of them. It starts from the bits known, and calls edit again, on a fresh
// copy, when these were not the stored ones; an error of edit counts only on bits just read.
func (p *ports) change(ctx context.Context, edit func(bits) error) error {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	now, live := p.known.Load(), false
	for range maxPortTries {
		if now == nil {
			var err error
			if now, err = p.read(ctx); err != nil {
				return err
			}
			live = true
		}
		edited := now.bits.clone()
		err := edit(edited)
		if err == nil && edited.set.Cmp(now.bits.set) != 0 {
			var done bool
			if done, err = p.write(ctx, edited, now.revision); done || err != nil {
				return err
			}
			live = false
		} else if err == nil || live {
			return err
		}
		now = nil
	}
	return errors.New("too many changes of the node ports at once")
}

// look calls edit with the stored bits and stores nothing.
func (p *ports) look(ctx context.Context, edit func(bits) error) error {
	now, err := p.read(ctx)
	if err != nil {
		return err
	}
	return edit(now.bits.clone())
}

// read reads the stored bits.
func (p *ports) read(ctx context.Context) (*portState, error) {
	value, revision, err := p.cell.Get(ctx)
	if err != nil {
		return nil, err
	}
	if revision == 0 {
		return nil, errUninitialized
	}
	b, err := decodeBits(value)
	if err != nil {
		return nil, err
	}
	if b.of != p.of {
		return nil, fmt.Errorf("%w: %s is stored, %s is configured", errOtherRange, b.of, p.of)
	}
	state := &portState{b, revision}
	p.known.Store(state)
	return state, nil
}

// write stores the bits if nobody has since the revision; if somebody has, it forgets what was known.
func (p *ports) write(ctx context.Context, b bits, revision int64) (bool, error) {
	value, err := b.encode()
	if err != nil {
		return false, err
	}
	swapped, at, err := p.cell.Swap(ctx, value, revision)
	if err != nil || !swapped {
		p.known.Store(nil)
		return false, err
	}
	p.known.Store(&portState{b, at})
	return true, nil
}

// free gives ports back.
func (p *ports) free(ctx context.Context, list []int) error {
	if len(list) == 0 {
		return nil
	}
	return p.change(ctx, func(b bits) error {
		for _, port := range list {
			b.free(port)
		}
		return nil
	})
}
