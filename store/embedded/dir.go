package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"go.etcd.io/etcd/client/pkg/v3/fileutil"
)

const (
	lockName     = "lock"
	memberName   = "member" // etcd's own directory
	peerSocket   = "peer"
	clientSocket = "client"
	// maxSocketPath is what the shortest sockaddr_un in use (macOS, the BSDs) holds, with its final zero byte.
	maxSocketPath = 104
)

// lock keeps other servers away from a directory, also those of other processes. It ends with the process.
type lock struct{ file *fileutil.LockedFile }

func (l *lock) release() {
	if l != nil {
		_ = l.file.Close()
	}
}

// prepare makes the directory, or checks the one that is there, and locks it. etcd itself would wait without end for another
// server to leave, and panic in a goroutine of its own if the database were not one.
func prepare(dir string) (*lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := onlyEtcd(dir); err != nil {
		return nil, err
	}
	if err := private(dir); err != nil {
		return nil, err
	}
	file, err := fileutil.TryLockFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_WRONLY, 0o600)
	if errors.Is(err, fileutil.ErrLocked) {
		return nil, errors.New("another server is using the directory")
	}
	if err != nil {
		return nil, err
	}
	l := &lock{file}
	if err := checkDatabase(filepath.Join(dir, memberName, "snap", "db")); err != nil {
		l.release()
		return nil, err
	}
	return l, nil
}

// private takes the directory's permissions away from everybody else.
func private(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	return os.Chmod(dir, 0o700)
}

// onlyEtcd refuses a directory in which there is something other than etcd's data. What a server leaves behind that was
// killed is its own.
func onlyEtcd(dir string) error {
	own := []string{memberName, lockName, peerSocket, clientSocket, ".touch", "lost+found"}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch {
		case e.Name() == memberName && !e.IsDir():
			return fmt.Errorf("%s is not a directory: this is not etcd's data", memberName)
		case slices.Contains(own, e.Name()):
		default:
			return fmt.Errorf("it holds %q, which is not etcd's: give the data a directory of its own", e.Name())
		}
	}
	return nil
}

// checkDatabase looks whether etcd will be able to open its database.
func checkDatabase(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		return nil // a first start was cut short
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return errors.New("an etcd server is using the directory")
	}
	if err != nil {
		return fmt.Errorf("the database is damaged: %w", err)
	}
	return db.Close()
}

// socketDir finds a private directory in which the path of a socket is short enough to be one: the data directory, or else a
// temporary one below TMPDIR, which can be anything, or below /tmp.
func socketDir(dir string) (path string, temporary bool, err error) {
	if len(filepath.Join(dir, clientSocket)) < maxSocketPath {
		return dir, false, nil
	}
	for _, base := range []string{os.TempDir(), "/tmp"} {
		if len(filepath.Join(base, "gatehouse-etcd-0123456789", clientSocket)) < maxSocketPath {
			path, err = os.MkdirTemp(base, "gatehouse-etcd-")
			return path, true, err
		}
	}
	return "", false, errors.New("no directory for temporary files has a path short enough for a socket")
}
