package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Process is a running program whose output goes to a log file. It is ended by
// Stop or Kill; both may be called more than once.
type Process struct {
	// LogFile holds everything the program printed.
	LogFile string

	cmd    *exec.Cmd
	exited chan struct{}
	err    error // valid once exited is closed
}

// StartProcess starts a program in dir. An empty dir means the caller's. Its
// output is appended to logFile.
func StartProcess(dir, logFile, name string, args ...string) (*Process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log of %s: %w", name, err)
	}
	defer log.Close() // the child keeps its own descriptor
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Stdout = log
	cmd.Stderr = log
	cmd.SysProcAttr = dieWithParent()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &Process{LogFile: logFile, cmd: cmd, exited: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// PID is the process id, also after the process has ended.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Err waits for the end of the process and returns nil for exit status 0.
func (p *Process) Err() error {
	<-p.exited
	return p.err
}

// Signal sends sig. A process that has ended already is not an error.
func (p *Process) Signal(sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal pid %d: %w", p.PID(), err)
	}
	return nil
}

// Interrupt sends what Ctrl-C sends.
func (p *Process) Interrupt() error { return p.Signal(os.Interrupt) }

// Stop asks the process to end and waits at most grace for it. After that it
// kills the process and reports that it had to.
func (p *Process) Stop(grace time.Duration) error {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.exited:
		return nil
	case <-timer.C:
		p.Kill()
		return fmt.Errorf("pid %d did not end within %s after SIGTERM, see %s", p.PID(), grace, p.LogFile)
	}
}

// Kill ends the process as kill -9 does and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // fails only when it has ended already
	<-p.exited
}
