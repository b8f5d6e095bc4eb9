package audit_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse/gatehouse/audit"
)

func TestRemovedLogIsNoticedAndBegunAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := logPath(t)
		l := open(t, audit.Options{Path: path, Logger: logger(t)})
		begin(t, l, request(t, "DELETE", "/api/v1/namespaces/a/pods/b")).Finish(200, nil)
		time.Sleep(2 * time.Second)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		begin(t, l, request(t, "DELETE", "/api/v1/namespaces/a/pods/c")).Finish(200, nil)
		time.Sleep(5 * time.Second)
		if err := l.Healthy(); err != nil {
			t.Errorf("Healthy = %v", err)
		}
		begin(t, l, request(t, "DELETE", "/api/v1/namespaces/a/pods/d")).Finish(200, nil)
		closeLog(t, l)
		all := allEvents(t, path)
		if len(all) == 0 || all[0].Chain.Seq == 1 {
			t.Errorf("the new file does not continue the chain: %+v", all)
		}
		if !slices.Contains(notices(t, path), "recording-resumed") {
			t.Error("the gap is not on record")
		}
		closeLog(t, open(t, audit.Options{Path: path}))
	})
}

func TestResizedLogIsSetAside(t *testing.T) {
	cases := map[string]func(path string) error{
		"emptied": func(path string) error { return os.Truncate(path, 0) },
		"cut":     func(path string) error { return os.Truncate(path, 100) },
		"extended": func(path string) error {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString("{}\n")
			return errors.Join(err, f.Close())
		},
	}
	for name, resize := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := logPath(t)
				l := open(t, audit.Options{Path: path, Logger: logger(t)})
				begin(t, l, request(t, "DELETE", "/api/v1/namespaces/a/pods/b")).Finish(200, nil)
				time.Sleep(2 * time.Second)
				if err := resize(path); err != nil {
					t.Fatal(err)
				}
				begin(t, l, request(t, "DELETE", "/api/v1/namespaces/a/pods/c")).Finish(200, nil)
				time.Sleep(5 * time.Second)
				if err := l.Healthy(); err != nil {
					t.Errorf("Healthy = %v", err)
				}
				closeLog(t, l)
				files, err := audit.Segments(path)
				if err != nil || len(files) != 2 || !slices.Contains(notices(t, path), "recording-resumed") {
					t.Errorf("segments %v, %v; notices %v", files, err, notices(t, path))
				}
				closeLog(t, open(t, audit.Options{Path: path}))
			})
		})
	}
}

func TestLogCutDuringAFailureIsNotFilledWithZeros(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path, d := logPath(t), &disk{}
		l, err := audit.OpenWrapped(audit.Options{Path: path, Logger: logger(t)}, d.wrap)
		if err != nil {
			t.Fatal(err)
		}
		d.failWrites(noSpace)
		_, err = receive(context.Background(), l, request(t, "DELETE", "/api/v1/namespaces/a/pods/b"))
		refusedAs503(t, err)
		if err := os.Truncate(path, 10); err != nil { // to make room
			t.Fatal(err)
		}
		begin(t, l, request(t, "DELETE", "/api/v1/namespaces/a/pods/c"))
		closeLog(t, l)
		files, err := audit.Segments(path)
		if err != nil || len(files) != 2 || len(read(t, files[0])) != 10 {
			t.Fatalf("segments %v, %v", files, err)
		}
		closeLog(t, open(t, audit.Options{Path: path}))
	})
}

func TestReplacedLogIsNotWrittenTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := logPath(t)
		l := open(t, audit.Options{Path: path})
		time.Sleep(2 * time.Second)
		if err := errors.Join(os.Rename(path, path+".mine"), os.WriteFile(path, []byte("other\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
		begin(t, l, request(t, "DELETE", "/api/v1/namespaces/a/pods/b"))
		synctest.Wait()
		if err := l.Healthy(); err == nil || !strings.Contains(err.Error(), "replaced") {
			t.Errorf("Healthy = %v", err)
		}
		_, err := receive(context.Background(), l, request(t, "DELETE", "/api/v1/namespaces/a/pods/c"))
		refusedAs503(t, err)
		if err := l.Close(); err == nil {
			t.Error("Close does not say that the log could not be written")
		}
		if got := string(read(t, path)); got != "other\n" {
			t.Errorf("the other file holds %q", got)
		}
	})
}
