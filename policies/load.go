package policies

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long a directory must be quiet before it is read again: an editor or a copy touches several files.
	settle = 200 * time.Millisecond
	// rescan is how often the directory is compared without any event: events get lost, and a directory can be replaced.
	rescan = 10 * time.Second
)

// LoadBundle compiles the bundle and puts it in use. On an error the set before it stays, and Status tells.
func (e *Engine) LoadBundle(b Bundle) error {
	e.mu.Lock() // held while compiling, so that the set of the load that began last is the one in use
	defer e.mu.Unlock()
	if e.meters == nil {
		return errors.New("policies: an engine is made by New")
	}
	b.NoDefaults = b.NoDefaults || e.options.NoDefaults
	set, err := Compile(b)
	if err != nil {
		e.noteFailure(err)
		return err
	}
	e.use(set)
	return nil
}

// use swaps the set. The caller holds mu.
func (e *Engine) use(set *Set) {
	on := 0
	for _, p := range set.policies {
		if p.meta.Action != ActionOff {
			on++
		}
	}
	e.meters.keep(e.set.Swap(set), set)
	e.status = Status{Digest: set.digest, Policies: on}
}

// Load reads a policy directory and puts it in use together with the library. On an error, which names file and line, the
// set before it stays.
func (e *Engine) Load(dir string) error {
	b, err := readDir(dir)
	if err != nil {
		e.fail(err)
	} else {
		err = e.LoadBundle(b)
	}
	if err != nil {
		return fmt.Errorf("policy directory %s: %w", dir, err)
	}
	return nil
}

// fail notes a load that did not get as far as compiling.
func (e *Engine) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.noteFailure(err)
}

// noteFailure is called with mu held.
func (e *Engine) noteFailure(err error) {
	e.status.Err = err
	if e.meters != nil {
		e.meters.loadErrors.Inc()
	}
}

func readDir(dir string) (Bundle, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return Bundle{}, err
	}
	if !info.IsDir() {
		return Bundle{}, &fs.PathError{Op: "read", Path: dir, Err: errors.New("not a directory")}
	}
	return ReadBundle(os.DirFS(dir))
}

// Status returns the state of the engine.
func (e *Engine) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.status
}

// Watch loads the directory whenever its content changes, until ctx ends. It follows files written in place, files replaced by rename, and the
// symbolic-link swap by which volumes of ConfigMaps change. A load that fails is logged and shown by Status. The error
// is for a watch that could not be set up.
func (e *Engine) Watch(ctx context.Context, dir string) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("policy directory %s: watch: %w", dir, err)
	}
	defer func() { _ = w.Close() }() // nothing was written; there is nothing to lose
	if err := w.Add(dir); err != nil {
		return fmt.Errorf("policy directory %s: watch: %w", dir, err)
	}
	f := follower{engine: e, dir: dir, log: e.options.Logger.With("dir", dir)}
	f.sync(ctx) // what changed between the first load and the watch
	quiet := time.NewTimer(settle)
	quiet.Stop() // until there is an event
	again := time.NewTicker(rescan)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.Events:
			quiet.Reset(settle)
		case err := <-w.Errors:
			f.log.WarnContext(ctx, "watch of policies", "err", err)
			quiet.Reset(settle)
		case <-again.C:
			if err := w.Add(dir); err != nil { // does nothing unless the directory was replaced
				f.log.WarnContext(ctx, "watch of policies", "err", err)
			}
			f.sync(ctx)
		case <-quiet.C:
			f.sync(ctx)
		}
	}
}

// follower loads a directory when it is not as it was.
type follower struct {
	engine *Engine
	dir    string
	log    *slog.Logger
	last   string // what the last attempt found: a digest, or why the directory could not be read
}

func (f *follower) sync(ctx context.Context) {
	b, err := readDir(f.dir)
	state := ""
	if err == nil {
		state, err = b.digest(nil)
	}
	if err != nil {
		state = err.Error()
	}
	if state == f.last {
		return
	}
	f.last = state
	if err != nil {
		f.engine.fail(err)
	} else {
		err = f.engine.LoadBundle(b)
	}
	if err != nil {
		f.log.ErrorContext(ctx, "policies not loaded, the last good set stays in use", "err", err)
		return
	}
	f.log.InfoContext(ctx, "policies loaded", "digest", f.engine.Digest())
}
