package pki

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	dirMode  fs.FileMode = 0o700
	fileMode fs.FileMode = 0o600
	// othersMode are the permission bits that nobody but the owner may have.
	othersMode fs.FileMode = 0o077
)

// ErrUnsafe is in the chain of an error about a file or directory that somebody else could read or change.
var ErrUnsafe = errors.New("unsafe permissions")

// ReadPrivate reads a file that holds a secret. It refuses, with [ErrUnsafe] and the command that mends it, a file
// that others may access or that belongs to neither this process's user nor root; and it refuses what is not a regular
// file or is over limit bytes. The checks are made on the open file, so it cannot be exchanged in between.
func ReadPrivate(path string, limit int64) ([]byte, error) {
	return readRegular(path, limit, checkPrivate)
}

// ReadPublic reads a regular file of at most limit bytes, whoever may access it.
func ReadPublic(path string, limit int64) ([]byte, error) {
	return readRegular(path, limit, func(string, fs.FileInfo) error { return nil })
}

func readRegular(path string, limit int64, check func(string, fs.FileInfo) error) ([]byte, error) {
	// Opening a pipe would block, so its kind is looked at before; what is read is checked after.
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if err := check(path, info); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return data, nil
}

func checkPrivate(path string, info fs.FileInfo) error {
	if mode := info.Mode().Perm(); mode&othersMode != 0 {
		want := fileMode
		if info.IsDir() {
			want = dirMode
		}
		return fmt.Errorf("%w: %s has mode %04o and may be accessed by others: run chmod %o %s", ErrUnsafe, path, mode, want, path)
	}
	if owner, ok := ownerOf(info); ok && owner != 0 && owner != os.Geteuid() {
		return fmt.Errorf("%w: %s belongs to user id %d, this process runs as %d: start it as that user or choose another directory",
			ErrUnsafe, path, owner, os.Geteuid())
	}
	return nil
}

// WriteFile replaces the file at path with data, mode 0600. When it returns nil the data and its name are on disk;
// when it returns an error the old file is as it was.
func WriteFile(path string, data []byte) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(tmp.Name()) // fails once renamed, as it should
	if err := fill(tmp, data); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := syncDir(dir); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func fill(f *os.File, data []byte) error {
	_, err := f.Write(data)
	if err == nil {
		err = f.Chmod(fileMode)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// ensureDir makes dir with mode 0700, or checks that the one there is as private.
func ensureDir(dir string) error {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("check directory: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	return checkPrivate(dir, info)
}
