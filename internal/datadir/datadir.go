// Package datadir owns the directory that a server keeps its state in: it makes the directory, proves that it is
// ours, and holds it for one process at a time.
//
// A directory is ours when it was empty at first and has carried our marker since. What is not ours, is open to other
// users, is in use by another process or was written by a newer release is refused before anything in it is
// touched, with an error of one line that says what to do.
//
// The lock is the operating system's (flock), so it ends with the process however that ends, and nothing has to be cleaned up
// after a crash. Limits: it works on Unix and on file systems that implement flock, and it
// guards against mistakes, not against a hostile process of the same user.
package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// What is wrong with a directory, for errors.Is. The error around it says where and what to do.
var (
	ErrNotOurs = errors.New("not a data directory of gatehouse")
	ErrAccess  = errors.New("wrong owner or permissions")
	ErrInUse   = errors.New("in use by another process")
	ErrNewer   = errors.New("written by a newer release")
	ErrFull    = errors.New("not enough free space")
	// ErrNone is returned by Look for a directory that no server has used yet.
	ErrNone = errors.New("no data directory")
)

const (
	dirMode  fs.FileMode = 0o700
	fileMode fs.FileMode = 0o600
	// othersMode are the permission bits that nobody but the owner may have.
	othersMode fs.FileMode = 0o077

	lockName   = "lock"
	markerName = "format"
)

// DefaultMinFree is the space that a directory must have left: the embedded etcd reserves 64 MiB for each
// segment of its log and does not survive running out.
const DefaultMinFree = 64 << 20

// Options says how to open a directory.
type Options struct {
	// Path of the directory, required. Missing parents are made too, mode 0700.
	Path string
	// MinFree is how many bytes must be free on its file system; 0 means DefaultMinFree.
	MinFree uint64
}

// Dir is a directory that is ours. The zero Dir has no path.
type Dir struct {
	path string
	lock *os.File // nil if the directory was only looked at
}

// Open makes the directory if it is missing, checks it and locks it until Close or the end of the process.
func Open(opts Options) (*Dir, error) {
	path, err := absolute(opts.Path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, dirMode); err != nil {
		return nil, fmt.Errorf("make the data directory: %w: choose another place with --data-dir", plain(err))
	}
	info, err := checkOwner(path)
	if err != nil {
		return nil, err
	}
	if err := checkOurs(path); err != nil {
		return nil, err
	}
	// Only now: nobody should be told to change the mode of a directory that is not ours.
	if err := checkMode(path, info); err != nil {
		return nil, err
	}
	minFree := opts.MinFree
	if minFree == 0 {
		minFree = DefaultMinFree
	}
	if err := checkFree(path, minFree); err != nil {
		return nil, err
	}
	lock, err := acquire(path)
	if err != nil {
		return nil, err
	}
	d := &Dir{path: path, lock: lock}
	// Only now is it certain that no other process writes the marker or has just written a newer one.
	if err := ensureMarker(path); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Look checks a directory that a server uses or has used, and takes no lock: for commands that run
// beside the server. It creates nothing.
func Look(path string) (*Dir, error) {
	path, err := absolute(path)
	if err != nil {
		return nil, err
	}
	info, err := checkOwner(path)
	if err != nil {
		return nil, err
	}
	switch err := checkMarker(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w: run gatehouse serve first, or name its directory with --data-dir", path, ErrNone)
	case err != nil:
		return nil, err
	}
	if err := checkMode(path, info); err != nil {
		return nil, err
	}
	return &Dir{path: path}, nil
}

// Path returns the absolute path of a file in the directory; with no arguments, of the directory itself.
func (d *Dir) Path(elem ...string) string {
	return filepath.Join(append([]string{d.path}, elem...)...)
}

// Close gives the lock back. Further calls do nothing.
func (d *Dir) Close() error {
	if d.lock == nil {
		return nil
	}
	lock := d.lock
	d.lock = nil
	if err := lock.Close(); err != nil {
		return fmt.Errorf("unlock %s: %w", d.path, err)
	}
	return nil
}

func absolute(path string) (string, error) {
	if path == "" {
		return "", errors.New("the path of the data directory is empty: name one with --data-dir")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find the data directory: %w", err)
	}
	return path, nil
}

// checkOwner refuses what is no directory of this process's user.
func checkOwner(path string) (fs.FileInfo, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w: run gatehouse serve first, or name its directory with --data-dir", path, ErrNone)
	case err != nil:
		return nil, fmt.Errorf("look at the data directory: %w", err)
	case !info.IsDir():
		return nil, fmt.Errorf("%s: %w: it is a file: choose another place with --data-dir", path, ErrNotOurs)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return nil, fmt.Errorf("%s: %w: it belongs to user %d and this process runs as user %d: start it as that user or choose another --data-dir",
			path, ErrAccess, stat.Uid, os.Geteuid())
	}
	return info, nil
}

// checkMode refuses a directory that others can read or write.
func checkMode(path string, info fs.FileInfo) error {
	if mode := info.Mode().Perm(); mode&othersMode != 0 {
		return fmt.Errorf("%s: %w: mode %04o lets others in: run chmod 700 %s", path, ErrAccess, mode, path)
	}
	return nil
}

// checkOurs accepts a directory with our marker, or one that holds nothing yet.
func checkOurs(path string) error {
	err := checkMarker(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return fmt.Errorf("look into the data directory: %w", err)
	}
	for _, e := range entries {
		if !incidental(e.Name()) {
			return fmt.Errorf("%s: %w: it holds %q and no marker: choose an empty or a new directory with --data-dir",
				path, ErrNotOurs, e.Name())
		}
	}
	return nil
}

// incidental reports whether a file may be in a directory without making it somebody's: what a first start leaves
// when it is killed, and what mkfs leaves in the root of a volume.
func incidental(name string) bool {
	return name == lockName || name == "lost+found" || strings.HasPrefix(name, tempPrefix)
}

func checkFree(path string, minFree uint64) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(path, &st); err != nil {
		return fmt.Errorf("%s: find out how much space is free: %w", path, err)
	}
	if free := st.Bavail * uint64(st.Bsize); free < minFree {
		return fmt.Errorf("%s: %w: %d MiB are free and %d MiB are needed: make room or choose another --data-dir",
			path, ErrFull, free>>20, minFree>>20)
	}
	return nil
}

// plain names the two usual causes of a failed write in words an operator acts on.
func plain(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: %w", ErrAccess, err)
	}
	return err
}
