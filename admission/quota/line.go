package quota

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
)

// Bounds of charging. Another server that charges the same quota costs a try; one namespace cannot be kept waiting for ever.
const (
	maxTries  = 16
	maxCharge = 10 * time.Second
)

// line is the requests of one namespace that wait to be charged. Its goroutine charges those who wait, all at once, until nobody does.
type line struct {
	namespace string
	waiting   []*request // guarded by ResourceQuota.mu

	stored map[string]*corev1.ResourceQuota // what this line stored last, by name, which the cache may not have yet
}

// request is one that waits.
type request struct {
	evaluator  *evaluator
	attributes *admission.Attributes
	decided    bool
	err        error         // why it is refused
	done       chan struct{} // closed when err stands
}

func (r *request) decide(err error) { r.decided, r.err = true, err }

// wait returns when the request has been charged or refused. One that is given up while it waits is not charged.
func (q *ResourceQuota) wait(ctx context.Context, r *request) error {
	namespace := r.attributes.Namespace
	q.mu.Lock()
	l, busy := q.lines[namespace]
	if !busy {
		l = &line{namespace: namespace, stored: map[string]*corev1.ResourceQuota{}}
		q.lines[namespace] = l
	}
	l.waiting = append(l.waiting, r)
	q.mu.Unlock()
	if !busy {
		go q.run(context.WithoutCancel(ctx), l)
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
	}
	q.mu.Lock()
	i := slices.Index(l.waiting, r)
	if i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	}
	q.mu.Unlock()
	if i >= 0 {
		return api.ToError(ctx.Err())
	}
	<-r.done // It is being looked at: nobody else may have the object before that is over.
	return r.err
}

// run charges until nobody waits.
func (q *ResourceQuota) run(ctx context.Context, l *line) {
	for {
		q.mu.Lock()
		batch := l.waiting
		l.waiting = nil
		if len(batch) == 0 {
			delete(q.lines, l.namespace)
			q.mu.Unlock()
			return
		}
		q.mu.Unlock()
		q.decideAll(ctx, l, batch)
		for _, r := range batch {
			close(r.done)
		}
	}
}

var errPanic = errors.New("charging the quotas caused a panic")

// decideAll is chargeAll, after which all are decided even if it panics: there is no request here whose end that would be, so it would end
// the process.
func (q *ResourceQuota) decideAll(ctx context.Context, l *line, batch []*request) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		err := fmt.Errorf("%w: a value of type %T\n%s", errPanic, p, debug.Stack()) // the value itself may hold parts of an object
		finish(batch, api.Internal(err))
	}()
	q.chargeAll(ctx, l, batch)
}

// chargeAll decides all of the batch. A quota that could not be charged is read again, and those who wait for it are judged by what it has
// become; what the others were charged meanwhile stays charged.
func (q *ResourceQuota) chargeAll(ctx context.Context, l *line, batch []*request) {
	ctx, cancel := context.WithTimeout(ctx, maxCharge)
	defer cancel()
	var failed map[string]bool // names; nil for all
	for try := 1; ; try++ {
		quotas, err := q.quotas.Quotas(ctx, l.namespace, try > 1)
		if err == nil {
			failed, err = q.try(ctx, l, l.latest(quotas, failed), batch)
		}
		if err == nil || len(failed) == 0 || try == maxTries {
			finish(batch, err)
			return
		}
	}
}

// finish decides those who are still to be.
func finish(batch []*request, err error) {
	if err != nil {
		err = api.ToError(err)
	}
	for _, r := range batch {
		if !r.decided {
			r.decide(err)
		}
	}
}

// try charges the batch to the quotas. It returns those that could not be stored, and why the last of them could not.
func (q *ResourceQuota) try(ctx context.Context, l *line, quotas []*corev1.ResourceQuota, batch []*request) (failed map[string]bool, last error) {
	running := quotas
	for _, r := range batch {
		if r.decided {
			continue
		}
		after, err := r.evaluator.charge(running, r.attributes)
		switch {
		case err != nil:
			r.decide(api.ToError(err))
			continue
		case len(changed(running, after)) == 0:
			r.decide(nil)
		}
		running = after
	}
	for _, c := range changed(quotas, running) {
		stored, err := q.quotas.Charge(ctx, c)
		if err != nil {
			if failed == nil {
				failed = map[string]bool{}
			}
			failed[c.Name], last = true, err
			delete(l.stored, c.Name)
			continue
		}
		l.stored[c.Name] = stored
	}
	return failed, last
}

// latest replaces what the line has stored since, and leaves out all but the named quotas if there are any. A quota that was deleted
// meanwhile limits nothing any more.
func (l *line) latest(quotas []*corev1.ResourceQuota, named map[string]bool) []*corev1.ResourceQuota {
	var list []*corev1.ResourceQuota
	for _, c := range quotas {
		if named != nil && !named[c.Name] {
			continue
		}
		if s, ok := l.stored[c.Name]; ok && s.UID == c.UID && revision(s) > revision(c) {
			c = s
		}
		list = append(list, c)
	}
	return list
}

func revision(q *corev1.ResourceQuota) int64 {
	n, _ := strconv.ParseInt(q.ResourceVersion, 10, 64) // 0 is before all others, and then conflicts
	return n
}
