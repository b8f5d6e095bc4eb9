package policies_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gatehouse/gatehouse/policies"
)

const warnAll = "# METADATA\n# custom: {type: validate, action: warn, match: {kinds: [Pod]}}\npackage gatehouse.policy.mine\n\ndeny contains \"VERSION\"\n"

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLoadKeepsTheLastGoodSet(t *testing.T) {
	dir := t.TempDir()
	e := engineWith(t, "")
	file := filepath.Join(dir, "mine.rego")
	write(t, file, warnAll)
	if err := e.Load(dir); err != nil {
		t.Fatal(err)
	}
	good := e.Status()
	if good.Policies != 1 || good.Err != nil || good.Digest != e.Digest() || e.Set().Digest() != good.Digest {
		t.Fatalf("status is %+v", good)
	}
	for name, test := range map[string]struct {
		prepare func(t *testing.T) string // returns the directory
		want    string
	}{
		"a broken policy": {func(t *testing.T) string {
			d := t.TempDir()
			write(t, filepath.Join(d, "mine.rego"), warnAll+"deny contains {\n")
			return d
		}, "mine.rego:7:"},
		"a broken configuration": {func(t *testing.T) string {
			d := t.TempDir()
			write(t, filepath.Join(d, "policies.yaml"), "a: [\n")
			return d
		}, "policies.yaml: yaml: line 1"},
		"no directory": {func(t *testing.T) string { return filepath.Join(t.TempDir(), "none") }, "none: no such file or directory"},
		"a file":       {func(*testing.T) string { return file }, "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			err := e.Load(test.prepare(t))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
			s := e.Status()
			if s.Err == nil || s.Digest != good.Digest || s.Policies != good.Policies {
				t.Errorf("status is %+v", s)
			}
			if found := validate(t, e, podReview(nginx())); len(found) != 1 || found[0].Message != "VERSION" {
				t.Errorf("the set in use says %v", found)
			}
		})
	}
	if err := e.Load(dir); err != nil || e.Status() != good {
		t.Errorf("after the repair: %v, %+v", err, e.Status())
	}
}

func TestReadBundleTakesWhatItKnows(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	known := fstest.MapFS{
		"a.rego": file(warnAll), "a_test.rego": file("broken"), "a.cases.yaml": file("broken"), "README.md": file("text"),
		".hidden.rego": file("broken"), "sub.rego/x": file("broken"), "..data/b.rego": file("broken"),
	}
	b, err := policies.ReadBundle(known)
	if err != nil || len(b.Sources) != 1 || b.Config != nil {
		t.Errorf("got %+v, %v", b, err)
	}
	for name, want := range map[string]string{
		"policy.yaml":   "policy.yaml: not expected here",
		"policies.yml":  "policies.yml: not expected here",
		"policies.json": "policies.json: not expected here",
	} {
		if _, err := policies.ReadBundle(fstest.MapFS{name: file("")}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	large := fstest.MapFS{"a.rego": file(strings.Repeat("#", policies.MaxSourceBytes+1))}
	if _, err := policies.ReadBundle(large); err == nil || !strings.Contains(err.Error(), "a.rego: longer than") {
		t.Errorf("a large file: %v", err)
	}
}

// events passes the messages of a log on, so that a test can wait for what was done instead of for a while.
type events struct{ messages chan string }

func (h events) Enabled(context.Context, slog.Level) bool { return true }
func (h events) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h events) WithGroup(string) slog.Handler            { return h }
func (h events) Handle(ctx context.Context, r slog.Record) error {
	select {
	case h.messages <- r.Message:
	case <-ctx.Done():
	}
	return nil
}

// watch starts a watch of dir and returns the engine and a function that waits for the next load and returns its log line.
func watch(t *testing.T, dir string) (*policies.Engine, func() string) {
	t.Helper()
	h := events{make(chan string, 16)}
	e, err := policies.New(policies.Options{NoDefaults: true, Timeout: patient, Logger: slog.New(h)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Watch(ctx, dir) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	next := func() string {
		select {
		case m := <-h.messages:
			return m
		case err := <-done:
			done <- err
			t.Fatalf("the watch ended: %v", err)
		case <-t.Context().Done():
		}
		return ""
	}
	return e, next
}

func says(t *testing.T, e *policies.Engine) string {
	t.Helper()
	found := validate(t, e, podReview(nginx()))
	if len(found) != 1 {
		t.Fatalf("got %v", found)
	}
	return found[0].Message
}

const (
	loaded    = "policies loaded"
	notLoaded = "policies not loaded, the last good set stays in use"
)

func TestWatchFollowsFiles(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "mine.rego")
	write(t, file, strings.Replace(warnAll, "VERSION", "one", 1))
	e, next := watch(t, dir)
	if m := next(); m != loaded || says(t, e) != "one" {
		t.Fatalf("start: %s", m)
	}
	write(t, file, strings.Replace(warnAll, "VERSION", "two", 1))
	if m := next(); m != loaded || says(t, e) != "two" {
		t.Fatalf("written in place: %s", m)
	}
	replacement := filepath.Join(t.TempDir(), "new")
	write(t, replacement, strings.Replace(warnAll, "VERSION", "three", 1))
	if err := os.Rename(replacement, file); err != nil {
		t.Fatal(err)
	}
	if m := next(); m != loaded || says(t, e) != "three" {
		t.Fatalf("renamed: %s", m)
	}
	write(t, file, "package broken\n")
	if m := next(); m != notLoaded || says(t, e) != "three" || e.Status().Err == nil {
		t.Fatalf("broken: %s", m)
	}
	write(t, file, strings.Replace(warnAll, "VERSION", "four", 1))
	if m := next(); m != loaded || says(t, e) != "four" || e.Status().Err != nil {
		t.Fatalf("repaired: %s", m)
	}
}

// TestWatchFollowsConfigMaps changes the directory as kubelets do: the files are links through ..data, which is swapped.
func TestWatchFollowsConfigMaps(t *testing.T) {
	dir := t.TempDir()
	swap := func(version string) {
		t.Helper()
		target := filepath.Join(dir, "..version-"+version)
		if err := os.Mkdir(target, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(target, "mine.rego"), strings.Replace(warnAll, "VERSION", version, 1))
		if err := os.Symlink(filepath.Base(target), filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	swap("one")
	if err := os.Symlink(filepath.Join("..data", "mine.rego"), filepath.Join(dir, "mine.rego")); err != nil {
		t.Fatal(err)
	}
	e, next := watch(t, dir)
	if m := next(); m != loaded || says(t, e) != "one" {
		t.Fatalf("start: %s", m)
	}
	swap("two")
	if m := next(); m != loaded || says(t, e) != "two" {
		t.Fatalf("swapped: %s", m)
	}
}

func TestWatchOfNothingFails(t *testing.T) {
	e := engineWith(t, "")
	if err := e.Watch(t.Context(), filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no error")
	}
}
