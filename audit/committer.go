package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Group commit
//
// Idea: one goroutine owns the file. It takes everything that is queued, chains it, writes it with one write and makes it
// durable with one fdatasync; then it tells those who wait. While the disk works, the next group gathers by itself, so
// a group is as large as the load is high and no request waits for a timer. A group of which nobody waits for any record is
// written without a sync; the next sync, or the checkpoint within a second, covers it.
//
// Rejected: a sync per record (a disk with 1 ms syncs would do 1,000 writes a second); a window that is waited for
// before each sync (delays a lone request for nothing); O_DSYNC (pays for reads what only writes need); a lock instead of a
// goroutine (the holder would do everybody's I/O, and the order of records would be that of the lock).
//
// Failure: the committer knows two positions, durable and written. When a write or a sync fails, everything after durable is
// in doubt: it may be on disk in full, in part or not at all, and a later sync may succeed without having written it. So the file
// is cut back to durable before anything is written again, those who wait are told that their record was not written, and the records that
// nobody waits for are kept and written again, in the same order and therefore with the same hashes. Until a sync succeeds, every
// group starts with a notice that tells since when recording had failed, so that the gap is itself on record. A process that dies
// between the failure and the cut leaves records of requests that were refused; the next start reports their outcome as unknown.
//
// Cost: a write waits for one to two syncs. Memory is bounded by the queue, which counts records until they are durable.

const (
	maxBatchBytes      = 1 << 20                // taken from the queue at once
	maxUnsyncedBytes   = 1 << 20                // written without a sync
	checkpointInterval = time.Second            // between two checkpoints while records arrive
	retryInterval      = 500 * time.Millisecond // between two attempts while nobody waits
)

// committer writes the log. All fields but the atomic ones belong to the goroutine that runs run.
type committer struct {
	seg    *segments
	queue  *queue
	key    *signingKey // nil if there are no checkpoints
	clock  func() time.Time
	logger *slog.Logger

	hasher      *Hasher
	buf         []byte
	durable     position // on stable storage
	written     position // in the file
	unsynced    []*entry // between the two
	retry       []*entry // to be written again after a failure; nobody waits for them
	resumed     *entry   // the notice among retry that tells of the failure
	failed      bool     // the file may hold bytes after durable
	resized     bool     // the failure is that somebody else changed the file's size
	failedAt    time.Time
	attempted   time.Time // when the last attempt failed
	signedSeq   uint64
	signedAt    time.Time // zero until the first checkpoint of this process
	failure     atomic.Pointer[failure]
	checkpoint  atomic.Pointer[failure] // why the last checkpoint could not be written
	stats       counters
	syncSeconds prometheus.Histogram
	stopped     chan struct{}
}

// failure is why the log cannot be written to.
type failure struct{ err error }

func (f *failure) error() error {
	if f == nil {
		return nil
	}
	return f.err
}

type counters struct{ records, syncs, bytes, refused, late, failed atomic.Uint64 }

// run commits until the queue is closed and empty.
func (c *committer) run() {
	defer close(c.stopped)
	timer := time.NewTimer(c.pause())
	defer timer.Stop()
	for {
		select {
		case <-c.queue.wake:
		case <-timer.C:
		case <-c.queue.done:
			c.finish()
			return
		}
		c.work()
		timer.Reset(c.pause())
	}
}

// work commits what is there and what is due by time.
func (c *committer) work() {
	for batch := c.queue.take(maxBatchBytes); len(batch) > 0; batch = c.queue.take(maxBatchBytes) {
		c.commit(batch)
		if c.checkpointDue() {
			c.sign()
		}
	}
	if c.failed && time.Since(c.attempted) >= retryInterval {
		c.commit(nil)
	}
	if c.checkpointDue() {
		c.sign()
	}
}

// pause is how long there is nothing to do unless something arrives.
func (c *committer) pause() time.Duration {
	switch {
	case c.failed:
		return max(retryInterval-time.Since(c.attempted), time.Millisecond)
	case c.key != nil && c.written.seq != c.signedSeq:
		return max(checkpointInterval-time.Since(c.signedAt), time.Millisecond)
	}
	return time.Hour
}

// finish writes the rest, a notice that says so, and the last checkpoint. It tries once.
func (c *committer) finish() {
	for batch := c.queue.take(maxBatchBytes); len(batch) > 0; batch = c.queue.take(maxBatchBytes) {
		c.commit(batch)
	}
	last := &entry{event: notice(c.clock(), "closed", nil), done: make(chan error, 1), own: true}
	c.commit([]*entry{last})
	c.sign()
}

// commit writes a batch and makes it durable if anybody waits for a part of it, if an attempt had failed
// before, or if enough is not durable yet.
func (c *committer) commit(batch []*entry) {
	if c.failed && !anyWaits(batch) && time.Since(c.attempted) < retryInterval {
		c.retry = append(c.retry, batch...)
		return
	}
	batch = append(c.retry, batch...)
	c.retry = nil
	batch, err := c.prepare(batch)
	c.unsynced = append(c.unsynced, batch...)
	if err == nil {
		err = c.write(batch)
	}
	if err != nil {
		c.fail(err)
	}
}

// prepare makes the file ready for the batch, and adds the events that the log has to tell about itself.
func (c *committer) prepare(batch []*entry) ([]*entry, error) {
	if c.failed {
		if c.resumed == nil {
			c.resumed = &entry{own: true}
			batch = append(batch, c.resumed)
		}
		c.resumed.event = notice(c.clock(), "recording-resumed", map[string]string{
			AnnotationPrefix + "failed-since": c.failedAt.UTC().Format(time.RFC3339Nano),
			AnnotationPrefix + "cause":        c.failure.Load().error().Error(),
			AnnotationPrefix + "refused":      strconv.FormatUint(c.stats.refused.Load(), 10),
		})
		if err := c.repair(); err != nil {
			return batch, err
		}
	}
	incoming := int64(0)
	for _, e := range batch {
		incoming += int64(len(e.event) + maxLinkBytes)
	}
	if c.failed || !c.seg.full(c.written.size, incoming) {
		return batch, nil
	}
	if err := c.rotate(); err != nil {
		return batch, err
	}
	removal, err := c.seg.retire(c.clock())
	if err != nil {
		c.logger.Error("old audit segments cannot be removed", "error", err)
	}
	if removal != nil {
		batch = append(batch, &entry{event: removal, own: true})
	}
	return batch, nil
}

// repair takes back what a failed attempt may have left in the file. Where the file was removed, or cut or extended by somebody else, a
// new one continues the chain: what is missing then, or was added, is left for verification to find.
func (c *committer) repair() error {
	err := c.seg.check(c.durable.size)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err = c.seg.create(); err == nil {
			c.durable.size = 0
		}
	case errors.Is(err, errResized) && (c.resized || c.seg.shorter(c.durable.size)):
		if err = c.seg.rotate(c.clock()); err == nil {
			c.durable.size = 0
		}
	case err == nil, errors.Is(err, errResized): // longer by what the attempt left
		err = c.seg.file.Truncate(c.durable.size)
	}
	if err != nil {
		return fmt.Errorf("audit: repair the log: %w", err)
	}
	c.resized = false
	c.written = c.durable
	return nil
}

// write appends the batch, and makes it durable if anybody waits for a part of it, if an attempt had failed before, or
// if there is much that is not durable yet.
func (c *committer) write(batch []*entry) error {
	if len(batch) == 0 {
		return nil
	}
	next := c.written
	c.buf = c.buf[:0]
	for _, e := range batch {
		c.buf = c.hasher.appendLine(c.buf, e.event, &next)
	}
	n, err := c.seg.file.Write(c.buf)
	if err == nil && n < len(c.buf) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("audit: write: %w", err)
	}
	c.written = next
	c.stats.records.Add(uint64(len(batch)))
	c.stats.bytes.Add(uint64(len(c.buf)))
	if cap(c.buf) > 4*maxBatchBytes {
		c.buf = nil
	}
	if c.failed || anyWaits(batch) || c.written.size-c.durable.size > maxUnsyncedBytes {
		return c.sync()
	}
	return nil
}

// rotate makes everything durable, signs it and goes on in a new segment. Where the checkpoint or the rotation fails, it is tried again
// with the next batch, because a record in a segment that is too large is better than none.
func (c *committer) rotate() error {
	if c.written != c.durable {
		if err := c.sync(); err != nil {
			return err
		}
	}
	if c.sign(); c.failed {
		return c.failure.Load().error()
	}
	if c.signedSeq != c.durable.seq {
		return nil
	}
	if err := c.seg.rotate(c.clock()); err != nil {
		c.logger.Error("audit log could not be rotated", "error", err)
		return nil
	}
	c.durable.size, c.written.size = 0, 0
	return nil
}

// sync makes what is written durable and tells those who wait.
func (c *committer) sync() error {
	start := time.Now()
	if err := c.seg.file.Sync(); err != nil {
		return fmt.Errorf("audit: sync: %w", err)
	}
	c.syncSeconds.Observe(time.Since(start).Seconds())
	c.stats.syncs.Add(1)
	c.durable = c.written
	if c.failed {
		c.logger.Info("audit records can be written again", "seq", c.durable.seq)
	}
	c.failed, c.resumed = false, nil
	c.failure.Store(nil)
	c.settle(c.unsynced, nil)
	for _, e := range c.unsynced {
		c.queue.recycle(e)
	}
	c.unsynced = nil
	c.seg.removeRetired(c.logger)
	return nil
}

// fail gives up the records that somebody waits for and keeps the others.
func (c *committer) fail(err error) {
	var lost []*entry
	for _, e := range c.unsynced {
		if e.done != nil {
			lost = append(lost, e)
		} else {
			c.retry = append(c.retry, e)
		}
	}
	c.unsynced = nil
	c.attempted = time.Now()
	c.stats.failed.Add(1)
	if !c.failed {
		c.failed, c.failedAt = true, c.clock()
		c.logger.Error("audit records cannot be written; writes are refused until they can", "error", err)
	}
	c.failure.Store(&failure{err})
	c.stats.refused.Add(uint64(len(lost)))
	c.settle(lost, err)
}

// settle tells those who wait and returns the entries' share of the queue.
func (c *committer) settle(entries []*entry, err error) {
	bytes := 0
	for _, e := range entries {
		bytes += e.cost()
		if e.done != nil {
			e.done <- err
		}
	}
	c.queue.release(bytes)
}

func (c *committer) checkpointDue() bool {
	return c.key != nil && !c.failed && c.written.seq != c.signedSeq && time.Since(c.signedAt) >= checkpointInterval
}

// sign writes a checkpoint that covers everything written so far, after making it durable.
func (c *committer) sign() {
	if c.key == nil || c.failed {
		return
	}
	if err := c.seg.check(c.written.size); err != nil {
		c.resized = errors.Is(err, errResized)
		c.fail(err)
		return
	}
	if c.written != c.durable {
		if err := c.sync(); err != nil {
			c.fail(err)
			return
		}
	}
	c.signedAt = time.Now()
	if c.durable.seq == c.signedSeq {
		return
	}
	err := c.key.write(c.seg.path, c.durable, c.clock())
	if err != nil {
		if c.checkpoint.Swap(&failure{err}) == nil {
			c.logger.Error("audit checkpoint cannot be written", "error", err)
		}
		return
	}
	c.checkpoint.Store(nil)
	c.signedSeq = c.durable.seq
}

func anyWaits(batch []*entry) bool {
	for _, e := range batch {
		if e.done != nil {
			return true
		}
	}
	return false
}
