package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
)

// Options say where and how a log is written. Only Path is required.
type Options struct {
	// Path is the file that is written to; its directory is created with mode 0700, all files with 0600. Rotated segments, the
	// checkpoint and its keys stand beside it. "-" is standard output, with a chain that begins anew at every start,
	// without checkpoints, and durable as far as whoever reads it makes it.
	Path string
	// Policy says what is recorded; nil is DefaultPolicy.
	Policy *Policy
	// Origin names the log in its checkpoints; empty is DefaultOrigin. It must not hold spaces or plus signs, and is fixed by
	// the first start.
	Origin string
	// MaxSizeBytes is the size at which a segment is rotated; 0 is never. A segment is larger only if its one batch is.
	MaxSizeBytes int64
	// MaxBackups is how many rotated segments are kept; 0 keeps all. The newest is always kept.
	MaxBackups int
	// MaxAge is how long rotated segments are kept, decided when one is rotated; 0 keeps them for ever.
	MaxAge time.Duration
	// MaxQueueBytes bounds the memory of records that are not durable yet; 0 is 32 MiB.
	MaxQueueBytes int
	// CommitTimeout is how long a write waits for its record to become durable before it is refused; 0 is 5 seconds.
	CommitTimeout time.Duration
	// Clock is the time written into events; nil is time.Now.
	Clock func() time.Time
	// Logger is told of failures and repairs, never of the contents of events; nil discards.
	Logger *slog.Logger

	stdout *stream           // in the place of os.Stdout, for tests
	wrap   func(f file) file // around each segment, for tests
}

func (o *Options) setDefaults() {
	if o.Policy == nil {
		o.Policy = DefaultPolicy()
	}
	if o.Origin == "" {
		o.Origin = DefaultOrigin
	}
	if o.MaxQueueBytes == 0 {
		o.MaxQueueBytes = 32 << 20
	}
	if o.CommitTimeout == 0 {
		o.CommitTimeout = 5 * time.Second
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.stdout == nil {
		o.stdout = &stream{w: os.Stdout}
	}
}

// Log is an open audit log. It is safe for concurrent use. There is one per path, in one process.
type Log struct {
	opts      Options
	policy    atomic.Pointer[Policy]
	queue     *queue
	committer *committer
	refusals  *refusals
	metrics   []prometheus.Collector
	lock      *os.File // nil for a stream
}

// Open continues the log at the path, or begins one. It checks the end of the log against the checkpoint: a line
// that was not written to its end is cut off and the cut recorded, any other fault is a *[BrokenError]. Requests that
// were running when the last process died are recorded as of unknown outcome. When Open returns without error, a record has been
// made durable, so the log can be written to. The caller closes the log.
func Open(o Options) (*Log, error) {
	o.setDefaults()
	if err := o.Policy.Validate(); err != nil {
		return nil, fmt.Errorf("audit policy: %w", err)
	}
	l := &Log{opts: o, queue: newQueue(o.MaxQueueBytes)}
	l.usePolicy(o.Policy)
	l.refusals = newRefusals(l)
	c := &committer{
		seg:   &segments{path: o.Path, maxSize: o.MaxSizeBytes, maxBackups: o.MaxBackups, maxAge: o.MaxAge, wrap: o.wrap},
		queue: l.queue, clock: o.Clock, logger: o.Logger, hasher: NewHasher(), stopped: make(chan struct{}),
		syncSeconds: newSyncSeconds(),
	}
	l.committer = c
	l.metrics = l.newMetrics()
	var first []*entry
	if o.Path == "-" {
		c.seg.path, c.seg.file = "", o.stdout
	} else {
		var err error
		if first, err = l.openFile(); err != nil {
			return nil, errors.Join(err, l.release())
		}
	}
	opened := &entry{event: notice(o.Clock(), "opened", nil), done: make(chan error, 1), own: true}
	c.commit(append(first, opened))
	if err := <-opened.done; err != nil {
		return nil, errors.Join(err, l.release())
	}
	c.sign()
	go c.run()
	return l, nil
}

// openFile prepares the files and returns the events that tell what was found.
func (l *Log) openFile() ([]*entry, error) {
	o, c := &l.opts, l.committer
	if err := os.MkdirAll(filepath.Dir(o.Path), 0o700); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	var err error
	if l.lock, err = lock(o.Path); err != nil {
		return nil, err
	}
	if err := removeTemporary(o.Path); err != nil {
		return nil, err
	}
	key, cp, err := openCheckpoint(o)
	if err != nil {
		return nil, err
	}
	c.key, c.signedSeq = &key, cp.Seq
	t, err := readTail(o.Path, cp)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(o.Path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	if err := errors.Join(c.seg.use(f), syncDir(o.Path)); err != nil {
		return nil, err
	}
	if t.cut > 0 {
		if err := c.seg.file.Truncate(t.end.size); err != nil {
			return nil, fmt.Errorf("audit: cut off the incomplete last line: %w", err)
		}
	}
	// What follows the checkpoint may be in memory only; the sync after the first record makes it durable.
	c.durable, c.written = t.end, t.end
	return l.findings(t)
}

// openCheckpoint reads the key and the checkpoint, or makes both for a log that does not exist yet.
func openCheckpoint(o *Options) (signingKey, Checkpoint, error) {
	key, err := loadKey(o.Path)
	if err == nil {
		cp, err := ReadCheckpoint(o.Path, key.public)
		if errors.Is(err, fs.ErrNotExist) {
			err = &BrokenError{File: o.Path + SuffixCheckpoint, Why: "the checkpoint is missing, so the log cannot be checked; put it back"}
		}
		return key, cp, err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return signingKey{}, Checkpoint{}, err
	}
	if files, err := Segments(o.Path); err == nil {
		if info, err := os.Stat(files[0]); err != nil || len(files) > 1 || info.Size() > 0 {
			return signingKey{}, Checkpoint{}, &BrokenError{File: files[0], Why: fmt.Sprintf(
				"the file was written by another server, or the key %s was removed", o.Path+SuffixKey)}
		}
	}
	if there, err := exists(o.Path + SuffixCheckpoint); there || err != nil {
		return signingKey{}, Checkpoint{}, errors.Join(err, &BrokenError{
			File: o.Path + SuffixKey, Why: "the signing key is missing, but there is a checkpoint made with it; put it back",
		})
	}
	if key, err = createKey(o.Path, o.Origin); err != nil {
		return signingKey{}, Checkpoint{}, err
	}
	// Signed before the log exists: from here on, a log that is gone is noticed.
	return key, Checkpoint{}, key.write(o.Path, position{}, o.Clock())
}

// findings turns what was found at the end of the log into events.
func (l *Log) findings(t tail) ([]*entry, error) {
	var found []*entry
	now := l.opts.Clock()
	if t.cut > 0 {
		l.opts.Logger.Warn("the audit log ended in an incomplete line, which was cut off", "bytes", t.cut)
		found = append(found, &entry{own: true, event: notice(now, "tail-cut", map[string]string{
			AnnotationPrefix + "cut-bytes": fmt.Sprint(t.cut),
		})})
	}
	if stageSet(0).with(l.opts.Policy.OmitStages).has(StageResponseComplete) {
		return found, nil // then no request has an outcome on record
	}
	files, err := Segments(l.opts.Path)
	if err != nil {
		return nil, err
	}
	open, err := unfinished(files, RecoveryWindowBytes)
	if err != nil {
		return nil, err
	}
	for _, e := range open {
		e.Chain, e.Stage, e.StageTimestamp = nil, StageResponseComplete, metav1.NewMicroTime(now)
		e.RequestObject, e.ResponseStatus = nil, &metav1.Status{}
		if e.Annotations == nil {
			e.Annotations = map[string]string{}
		}
		e.Annotations[AnnotationOutcome] = "unknown"
		found = append(found, &entry{own: true, event: e.AppendJSON(nil)})
	}
	if len(open) > 0 {
		l.opts.Logger.Warn("requests were running when the last process ended; their outcome is recorded as unknown", "requests", len(open))
	}
	return found, nil
}

// notice is an event about the log itself.
func notice(now time.Time, kind string, annotations map[string]string) []byte {
	e := Event{
		Kind: eventKind, APIVersion: eventAPIVersion, Level: LevelMetadata, AuditID: uuid.NewString(), Stage: StageResponseComplete,
		Verb: noticeVerb, User: UserInfo{Username: noticeUser},
		RequestReceivedTimestamp: metav1.NewMicroTime(now), StageTimestamp: metav1.NewMicroTime(now),
		Annotations: map[string]string{AnnotationNotice: kind},
	}
	for k, v := range annotations {
		e.Annotations[k] = clamp(v, MaxAnnotationBytes)
	}
	return e.AppendJSON(nil)
}

// SetPolicy makes the policy decide about requests that begin from now on, and records that it changed. The policy is
// refused if it is not valid.
func (l *Log) SetPolicy(ctx context.Context, p *Policy) error {
	if err := p.Validate(); err != nil {
		return fmt.Errorf("audit policy: %w", err)
	}
	if err := l.append(ctx, &entry{event: notice(l.opts.Clock(), "policy-changed", map[string]string{
		AnnotationPrefix + "rules": fmt.Sprint(len(p.Rules)),
	})}); err != nil {
		return err
	}
	l.usePolicy(p)
	return nil
}

// usePolicy warns where the policy is not followed to the letter.
func (l *Log) usePolicy(p *Policy) {
	if rules := p.omitsIntent(); len(rules) > 0 {
		l.opts.Logger.Warn("the audit policy omits stage RequestReceived for requests that can change something: "+
			"it is recorded for them all the same, before they are executed", "policyRules", fmt.Sprint(rules))
	}
	l.policy.Store(p)
}

// Healthy returns nil if the last attempt to write records and the last checkpoint succeeded. The log tries again by
// itself twice a second until it can write.
func (l *Log) Healthy() error {
	return errors.Join(l.committer.failure.Load().error(), l.committer.checkpoint.Load().error())
}

// Stats counts what a log has done since it was opened.
type Stats struct {
	Records uint64 // written, including the log's own notices and records that had to be written again
	Bytes   uint64 // of those
	Syncs   uint64 // groups made durable
	Refused uint64 // writes refused because their record could not be written
	Late    uint64 // writes refused because their record was not durable in time
	Failed  uint64 // attempts to write or sync that failed
	Similar uint64 // refusals that have no event of their own, see AnnotationSummarised
	Queued  int    // bytes of memory held by records that are not durable
}

// Stats returns the counts.
func (l *Log) Stats() Stats {
	n := &l.committer.stats
	return Stats{
		Records: n.records.Load(), Bytes: n.bytes.Load(), Syncs: n.syncs.Load(), Refused: n.refused.Load(), Late: n.late.Load(),
		Failed: n.failed.Load(), Similar: l.refusals.similar.Load(), Queued: l.queue.fill(),
	}
}

// Close writes what is queued, and a last checkpoint, and closes the files. Records of requests that end later are
// lost, and reported as of unknown outcome by the next start. Only the first call does anything.
func (l *Log) Close() error {
	l.refusals.close()
	l.queue.close()
	<-l.committer.stopped
	err := l.Healthy()
	if n := len(l.committer.retry); n > 0 {
		err = fmt.Errorf("audit: %d records could not be written before the end: %w", n, err)
	}
	return errors.Join(err, l.release())
}

// release closes the files. It does nothing the second time.
func (l *Log) release() error {
	err := l.committer.seg.close()
	l.committer.seg.f = nil
	if l.lock != nil {
		err = errors.Join(err, l.lock.Close())
		l.lock = nil
	}
	return err
}

// append queues an event and waits until it is durable. The error is fit for the client.
func (l *Log) append(ctx context.Context, e *entry) error {
	ctx, cancel := context.WithTimeout(ctx, l.opts.CommitTimeout)
	defer cancel()
	e.done = make(chan error, 1)
	if err := l.queue.push(ctx, e); err != nil {
		return notWritten(err)
	}
	select {
	case err := <-e.done:
		if err != nil {
			return notWritten(err)
		}
		return nil
	case <-ctx.Done():
		l.committer.stats.late.Add(1)
		return notWritten(fmt.Errorf("%w: %w", errLate, context.Cause(ctx)))
	}
}

// queued queues an event that nobody waits for. The error is fit for the client.
func (l *Log) queued(ctx context.Context, e *entry) error {
	if err := l.queue.push(ctx, e); err != nil {
		return notWritten(err)
	}
	return nil
}

// errLate marks a record that was queued but not durable in time; it may still be written.
var errLate = errors.New("audit: the record was not durable in time")

func notWritten(cause error) *api.Error {
	return api.Unavailable("audit record could not be written").Wrap(cause)
}
