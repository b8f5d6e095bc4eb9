package datadir

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// maxPIDBytes bounds what is read of a lock file.
const maxPIDBytes = 32

// acquire takes the lock and writes this process's id into its file, for the message that the next process gets. The
// write also proves that the directory takes data.
func acquire(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, fileMode)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", plain(err))
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(refuseLock(dir, f, err), f.Close())
	}
	if err := writePID(f); err != nil {
		return nil, errors.Join(fmt.Errorf("write %s: %w", path, plain(err)), f.Close())
	}
	return f, nil
}

func refuseLock(dir string, f *os.File, err error) error {
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("%s: lock the data directory: %w: it must be on a file system that has flock", dir, err)
	}
	who := "another process"
	if pid, ok := readPID(f); ok {
		who = "the process " + strconv.Itoa(pid)
	}
	return fmt.Errorf("%s: %w: %s: stop it or choose another --data-dir", dir, ErrInUse, who)
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return err
	}
	return f.Sync()
}

func readPID(f *os.File) (pid int, ok bool) {
	text, err := io.ReadAll(io.LimitReader(f, maxPIDBytes))
	if err != nil {
		return 0, false
	}
	pid, err = strconv.Atoi(strings.TrimSuffix(string(text), "\n"))
	return pid, err == nil && pid > 0
}
