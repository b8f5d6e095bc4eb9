package audit_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/audit"
)

// faulty is a segment on which the next operations fail as the test says.
type faulty struct {
	audit.File
	disk *disk
}

// disk holds the faults that are still to come, shared by all segments of a log.
type disk struct {
	mu       sync.Mutex // guards the fields below
	write    []func(f audit.File, b []byte) (int, error)
	sync     []func(f audit.File) error
	truncate []error
}

func (d *disk) wrap(f audit.File) audit.File { return faulty{f, d} }

func next[T any](d *disk, list *[]T) (v T, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(*list) == 0 {
		return v, false
	}
	v, *list = (*list)[0], (*list)[1:]
	return v, true
}

func (f faulty) Write(b []byte) (int, error) {
	if do, ok := next(f.disk, &f.disk.write); ok {
		return do(f.File, b)
	}
	return f.File.Write(b)
}

func (f faulty) Sync() error {
	if do, ok := next(f.disk, &f.disk.sync); ok {
		return do(f.File)
	}
	return f.File.Sync()
}

func (f faulty) Truncate(size int64) error {
	if err, ok := next(f.disk, &f.disk.truncate); ok {
		return err
	}
	return f.File.Truncate(size)
}

func (d *disk) failWrites(do ...func(f audit.File, b []byte) (int, error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.write = do
}

func (d *disk) failSyncs(do ...func(f audit.File) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sync = do
}

func (d *disk) failTruncates(errs ...error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.truncate = errs
}

func noSpace(audit.File, []byte) (int, error) { return 0, syscall.ENOSPC }

func halfWritten(f audit.File, b []byte) (int, error) {
	n, err := f.Write(b[:len(b)/2])
	return n, errors.Join(err, syscall.ENOSPC)
}

func shortWithoutError(f audit.File, b []byte) (int, error) {
	return f.Write(b[:len(b)/2])
}

func writtenInFull(f audit.File, b []byte) (int, error) {
	n, err := f.Write(b)
	return n, errors.Join(err, syscall.EIO)
}

func notPersisted(audit.File) error { return syscall.EIO }

func persisted(f audit.File) error { return errors.Join(f.Sync(), syscall.EIO) }

func refusedAs503(t *testing.T, err error) {
	t.Helper()
	var e *api.Error
	if !errors.As(err, &e) || e.Code() != 503 || e.Status.Message != "audit record could not be written" {
		t.Fatalf("Begin = %v, want 503 'audit record could not be written'", err)
	}
}

func TestWriteIsRefusedWhenItsRecordCannotBeWritten(t *testing.T) {
	cases := map[string]func(d *disk){
		"disk full, failed and not persisted":      func(d *disk) { d.failWrites(noSpace) },
		"disk full, half persisted":                func(d *disk) { d.failWrites(halfWritten) },
		"short write without an error":             func(d *disk) { d.failWrites(shortWithoutError) },
		"write failed and persisted":               func(d *disk) { d.failWrites(writtenInFull) },
		"sync failed and not persisted":            func(d *disk) { d.failSyncs(notPersisted) },
		"sync failed and persisted":                func(d *disk) { d.failSyncs(persisted) },
		"the half line cannot be cut off at first": func(d *disk) { d.failWrites(halfWritten); d.failTruncates(syscall.EIO) },
	}
	for name, fail := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testRefusal(t, fail) })
		})
	}
}

func testRefusal(t *testing.T, fail func(d *disk)) {
	path, d := logPath(t), &disk{}
	l, err := audit.OpenWrapped(audit.Options{Path: path, Clock: at, Logger: logger(t)}, d.wrap)
	if err != nil {
		t.Fatal(err)
	}
	begin(t, l, request(t, "DELETE", "/api/v1/namespaces/a/pods/before")).Finish(200, nil)
	synctest.Wait() // so that the fault meets the next write and not the end of this one
	fail(d)
	_, err = receive(context.Background(), l, request(t, "DELETE", "/api/v1/namespaces/a/pods/refused"))
	refusedAs503(t, err)
	if l.Healthy() == nil {
		t.Error("the log says that it is healthy")
	}
	// The next write is the test whether recording works again; one case needs a second.
	rec, err := receive(context.Background(), l, request(t, "DELETE", "/api/v1/namespaces/a/pods/after"))
	if err != nil {
		rec = begin(t, l, request(t, "DELETE", "/api/v1/namespaces/a/pods/after"))
	}
	rec.Finish(200, nil)
	if err := l.Healthy(); err != nil {
		t.Errorf("the log is not healthy again: %v", err)
	}
	closeLog(t, l)
	expectWhole(t, path)
	var got []string
	for _, e := range events(t, path) {
		got = append(got, e.ObjectRef.Name+" "+string(e.Stage))
	}
	want := []string{"before RequestReceived", "before ResponseComplete", "after RequestReceived", "after ResponseComplete"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	if !slices.Contains(notices(t, path), "recording-resumed") {
		t.Error("the gap is not on record")
	}
}

// expectWhole follows the chain from the first record to the last.
func expectWhole(t *testing.T, path string) {
	t.Helper()
	files, err := audit.Segments(path)
	if err != nil {
		t.Fatal(err)
	}
	hasher := audit.NewHasher()
	var last audit.Link
	for _, name := range files {
		for i, line := range lines(t, name) {
			event, link, err := audit.ParseLine(line)
			if err != nil || link.Seq != last.Seq+1 || link.Prev != last.Hash || hasher.Sum(link.Prev, link.Seq, event) != link.Hash {
				t.Fatalf("%s:%d does not follow (%v):\n%s", name, i+1, err, line)
			}
			last = link
		}
	}
}

func TestReadsThatNobodyWaitsForSurviveAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path, d := logPath(t), &disk{}
		l, err := audit.OpenWrapped(audit.Options{Path: path}, d.wrap)
		if err != nil {
			t.Fatal(err)
		}
		d.failWrites(halfWritten, noSpace, noSpace)
		d.failSyncs(notPersisted)
		for range 20 {
			begin(t, l, request(t, "GET", "/api/v1/pods")).Finish(200, nil)
		}
		synctest.Wait()
		time.Sleep(10 * time.Second) // of the bubble's clock: the log tries again by itself
		if err := l.Healthy(); err != nil {
			t.Errorf("the log did not recover by itself: %v", err)
		}
		closeLog(t, l)
		if n := len(events(t, path)); n != 20 {
			t.Errorf("%d records, want 20", n)
		}
		expectWhole(t, path)
	})
}

func TestUnhealthyLogRefusesWhatItCouldLose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path, d := logPath(t), &disk{}
		l, err := audit.OpenWrapped(audit.Options{Path: path, MaxQueueBytes: 64 << 10}, d.wrap)
		if err != nil {
			t.Fatal(err)
		}
		d.failWrites(slices.Repeat([]func(audit.File, []byte) (int, error){noSpace}, 1000)...)
		_, err = receive(context.Background(), l, request(t, "DELETE", "/api/v1/namespaces/a/pods/b"))
		refusedAs503(t, err)
		_, err = receive(context.Background(), l, request(t, "GET", "/api/v1/namespaces/a/secrets/b"))
		refusedAs503(t, err)
		accepted := 0
		for range 1000 {
			rec, err := receive(context.Background(), l, request(t, "GET", "/api/v1/pods"))
			if err != nil {
				refusedAs503(t, err)
				break
			}
			rec.Finish(200, nil) // never blocks: the other half of the queue is left for it
			accepted++
		}
		if accepted == 0 || accepted > 100 {
			t.Errorf("%d reads were accepted while nothing could be written", accepted)
		}
		if s := l.Stats(); s.Queued > 64<<10 {
			t.Errorf("the queue holds %d bytes", s.Queued)
		}
		d.failWrites()
		time.Sleep(time.Second)
		closeLog(t, l)
		if n := len(events(t, path)); n != accepted {
			t.Errorf("%d records, want %d", n, accepted)
		}
	})
}

func TestWriteOfWhichThePolicyOmitsTheIntentIsRefusedWhileUnhealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := audit.DefaultPolicy()
		p.OmitStages = []audit.Stage{audit.StageRequestReceived}
		d := &disk{}
		l, err := audit.OpenWrapped(audit.Options{Path: logPath(t), Policy: p}, d.wrap)
		if err != nil {
			t.Fatal(err)
		}
		d.failWrites(slices.Repeat([]func(audit.File, []byte) (int, error){noSpace}, 1000)...)
		if err := l.SetPolicy(context.Background(), p); err == nil {
			t.Error("the policy was changed without a record of it")
		}
		_, err = receive(context.Background(), l, request(t, "DELETE", "/api/v1/namespaces/a/pods/b"))
		refusedAs503(t, err)
		d.failWrites()
		time.Sleep(time.Second)
		closeLog(t, l)
	})
}

func TestRecordThatIsLateRefusesTheRequest(t *testing.T) {
	for name, withContext := range map[string]bool{"commit timeout": false, "client gone": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path, d := logPath(t), &disk{}
				l, err := audit.OpenWrapped(audit.Options{Path: path, CommitTimeout: time.Minute}, d.wrap)
				if err != nil {
					t.Fatal(err)
				}
				slow := make(chan struct{})
				d.failSyncs(func(f audit.File) error { <-slow; return f.Sync() })
				ctx := context.Background()
				if withContext {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, time.Second)
					defer cancel()
				}
				_, err = receive(ctx, l, request(t, "DELETE", "/api/v1/namespaces/a/pods/b"))
				refusedAs503(t, err)
				if errors.Is(err, context.DeadlineExceeded) != true {
					t.Errorf("the cause is %v", err)
				}
				close(slow)
				closeLog(t, l)
				got := events(t, path)
				if len(got) != 2 || got[1].Annotations[audit.AnnotationOutcome] != "not-executed" || got[1].ResponseStatus.Code != 503 {
					t.Errorf("the record that came late has no end: %+v", got)
				}
			})
		})
	}
}

func TestFullQueueBlocksAndDropsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path, d := logPath(t), &disk{}
		l, err := audit.OpenWrapped(audit.Options{Path: path, MaxQueueBytes: 8 << 10}, d.wrap)
		if err != nil {
			t.Fatal(err)
		}
		slow := make(chan struct{})
		d.failWrites(func(f audit.File, b []byte) (int, error) { <-slow; return f.Write(b) })
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { begin(t, l, request(t, "GET", "/api/v1/pods")).Finish(200, nil) })
		}
		synctest.Wait()
		if s := l.Stats(); s.Queued > 8<<10 {
			t.Errorf("the queue holds %d bytes", s.Queued)
		}
		close(slow)
		wg.Wait()
		closeLog(t, l)
		if n := len(events(t, path)); n != 100 {
			t.Errorf("%d records, want 100", n)
		}
	})
}

func TestBrokenPipeIsReported(t *testing.T) {
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.CopyN(io.Discard, r, 10)
		r.Close()
	}()
	_, err := audit.OpenStream(audit.Options{}, w)
	<-done
	if err == nil {
		t.Error("Open succeeded on a pipe that nobody reads")
	}
}

func TestWriteWaitsForTheSyncOfItsRecord(t *testing.T) {
	path, d := logPath(t), &disk{}
	l, err := audit.OpenWrapped(audit.Options{Path: path}, d.wrap)
	if err != nil {
		t.Fatal(err)
	}
	synced := 0
	d.failSyncs(func(f audit.File) error {
		synced = len(read(t, path))
		return f.Sync()
	})
	begin(t, l, request(t, "DELETE", "/api/v1/namespaces/a/pods/b"))
	if want := len(read(t, path)); synced != want {
		t.Errorf("when Begin returned, %d of %d bytes were durable", synced, want)
	}
	closeLog(t, l)
}

func TestManyWritesShareOneSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path, d := logPath(t), &disk{}
		l, err := audit.OpenWrapped(audit.Options{Path: path}, d.wrap)
		if err != nil {
			t.Fatal(err)
		}
		before := l.Stats().Syncs
		slow := make(chan struct{})
		d.failSyncs(func(f audit.File) error { <-slow; return f.Sync() })
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() { begin(t, l, request(t, "DELETE", "/api/v1/namespaces/a/pods/b")) })
		}
		synctest.Wait() // the first sync is under way and everybody else in the queue
		close(slow)
		wg.Wait()
		if n := l.Stats().Syncs - before; n != 2 {
			t.Errorf("%d syncs for 64 writes, want 2", n)
		}
		closeLog(t, l)
	})
}
