package audit

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// syncData is fdatasync(2), which skips the times of the inode but not its size.
func syncData(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EINTR) {
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
	}
}

// lock takes the lock of the log at path, which ends with the process at the latest. Two writers would fork the chain.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path+suffixLock, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("audit: another process writes the log %s; end it first: %w", path, err), f.Close())
	}
	return f, nil
}
