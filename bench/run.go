package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	// settle is how long a server is left alone before its idle memory is read.
	settle = 5 * time.Second
	// warmUp is the share of a row's requests that is sent before round 1.
	warmUp = 10
)

// run measures everything that was asked for, top to bottom.
func run(ctx context.Context, o options, dir string) (_ *report, err error) {
	r := &report{commit: commit(ctx), rounds: o.rounds, pods: o.pods, inFlight: o.inFlight}
	var peers []*peer
	defer func() {
		for _, p := range peers {
			err = errors.Join(err, p.close())
		}
	}()
	for _, name := range o.servers {
		var args []string
		var bin string
		if name == nameGatehouse {
			args, bin = o.gatehouseArgs, o.gatehouse
		}
		p, err := newPeer(ctx, name, dir, bin, args)
		if err != nil {
			return nil, err
		}
		peers = append(peers, p)
	}
	if err := measureStarts(ctx, o, r, peers); err != nil {
		return nil, err
	}
	if err := fill(ctx, o, r, peers); err != nil {
		return nil, err
	}
	if err := measureRequests(ctx, o, r, peers); err != nil {
		return nil, err
	}
	return r, measureMemory(ctx, o, r, peers, "after", "resident memory after the runs", 150)
}

// measureStarts leaves every server running. The first start, which fills an
// empty etcd with the default objects, does not count.
func measureStarts(ctx context.Context, o options, r *report, peers []*peer) error {
	for round := range o.rounds + 1 {
		for _, p := range peers {
			if err := p.stop(); err != nil {
				return err
			}
			took, err := p.start(ctx)
			if err != nil {
				return err
			}
			if round > 0 && o.wants("start") {
				r.line("start", "start to /readyz, etcd already up", 0.4, seconds).cell(p.name).add(took.Seconds(), 0)
			}
			slog.Info("started", "server", p.name, "took", took)
		}
		if !o.wants("start") {
			break
		}
	}
	return measureMemory(ctx, o, r, peers, "idle", "resident memory idle", 60)
}

func measureMemory(ctx context.Context, o options, r *report, peers []*peer, key, text string, goal float64) error {
	if !o.wants(key) {
		return nil
	}
	select {
	case <-time.After(settle):
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, p := range peers {
		bytes, err := resident(p.server.PID())
		if err != nil {
			return err
		}
		r.line(key, text, goal, mebibytes).cell(p.name).add(float64(bytes)/(1<<20), 0)
	}
	return nil
}

// fill gives every server the same pods: the first generates them, and the
// others get what the first has made of them.
func fill(ctx context.Context, o options, r *report, peers []*peer) error {
	var pods []*corev1.Pod
	for i, p := range peers {
		if err := prepare(ctx, p); err != nil {
			return err
		}
		if i == 0 {
			pods = generate(o.pods)
		}
		began := time.Now()
		if err := load(ctx, p, pods); err != nil {
			return err
		}
		slog.Info("loaded", "server", p.name, "pods", len(pods), "took", time.Since(began))
		if i == 0 && len(peers) > 1 {
			var err error
			if pods, err = copyFrom(ctx, p); err != nil {
				return err
			}
			continue
		}
		if i == 0 {
			continue
		}
		fields, err := difference(ctx, peers[0], p, o.pods)
		if err != nil {
			return err
		}
		remark := fmt.Sprintf("The pods of %s and %s are the same.", peers[0].name, p.name)
		if len(fields) > 0 {
			remark = fmt.Sprintf("The pods of %s and %s differ in: %s.", peers[0].name, p.name, strings.Join(fields, ", "))
		}
		r.remarks = append(r.remarks, remark)
	}
	return nil
}

// measureRequests takes the servers in turns. Which of them goes first
// alternates, so that neither profits from what the other has warmed up.
func measureRequests(ctx context.Context, o options, r *report, peers []*peer) error {
	for round := range o.rounds + 1 {
		for _, row := range requestRows(o.pods) {
			if !o.wants(row.key) {
				continue
			}
			l := r.line(row.key, row.text, inMilliseconds(row.goal), milliseconds)
			l.ratioGoal = ratioGoal(row.key)
			for i := range peers {
				p := peers[(i+round)%len(peers)]
				ops := row.ops
				if round == 0 {
					ops = max(1, ops/warmUp)
				}
				s, err := row.measure(ctx, p, round, ops, o.inFlight)
				if err := note(l.cell(p.name), s, err, round); err != nil {
					return err
				}
			}
		}
		if err := fanout(ctx, o, r, peers, round); err != nil {
			return err
		}
		if err := crowd(ctx, o, r, peers, round); err != nil {
			return err
		}
		slog.Info("measured", "round", round, "of", o.rounds)
	}
	return nil
}

// fanout is the row that needs more than one request at a time.
func fanout(ctx context.Context, o options, r *report, peers []*peer, round int) error {
	if !o.wants("watch") || round == 0 {
		return nil
	}
	l := r.line("watch", fmt.Sprintf("WATCH, one event to one of %d watchers", watchers), inMilliseconds(fanoutGoal), milliseconds)
	for i := range peers {
		p := peers[(i+round)%len(peers)]
		s, err := measureFanout(ctx, p, round)
		if err := note(l.cell(p.name), s, err, round); err != nil {
			return err
		}
	}
	return nil
}

// crowd is the row that measures what one client does to another. Its wall time
// and memory are the only figures that depend on how busy the machine is.
func crowd(ctx context.Context, o options, r *report, peers []*peer, round int) error {
	if !o.wants("crowd") || round == 0 {
		return nil
	}
	late := r.line("crowd", fmt.Sprintf("another client's GET p99 while one client sends %d LISTs at once", crowdLists), 10, milliseconds)
	memory := r.line("crowd-memory", "resident memory that this adds", 64, mebibytes)
	refused := r.line("crowd-refused", "requests of both then refused with 429", 0, count)
	for i := range peers {
		p := peers[(i+round)%len(peers)]
		c, err := measureCrowd(ctx, p)
		if err != nil {
			return err
		}
		late.cell(p.name).add(inMilliseconds(c.p99), 0)
		memory.cell(p.name).add(float64(c.grown)/(1<<20), 0)
		refused.cell(p.name).add(float64(c.refused), 0)
	}
	return nil
}

// note keeps a sample; round 0 only warms up. An answer that refuses the request
// is a finding, any other error ends the run.
func note(c *cell, s sample, err error, round int) error {
	refused, ok := asRefusal(err)
	switch {
	case ok && isUnsupported(refused.status):
		c.why = fmt.Sprintf("not supported (%d)", refused.status)
	case ok:
		c.why = fmt.Sprintf("refused (%d)", refused.status)
		slog.Warn("refused", "err", err)
	case err != nil:
		return err
	case round > 0:
		c.add(inMilliseconds(s.perOp), s.bytes)
	}
	return nil
}

func isUnsupported(status int) bool {
	switch status {
	case 404, 405, 406, 415, 501:
		return true
	}
	return false
}

func inMilliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
