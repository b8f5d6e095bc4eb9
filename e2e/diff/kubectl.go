package diff

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// commandTimeout bounds one command of a script.
const commandTimeout = 30 * time.Second

// RecordScript runs a script of kubectl commands against a recorder: one shell command in each line, # begins a comment. What
// a command prints and how it ends does not matter, only what it asks. The commands run in dir/work, where files of the
// directory files are; kubectl there is the given executable with the recorder's address and the namespace.
func RecordScript(ctx context.Context, r *Recorder, script, files, kubectl, namespace, dir string) error {
	home := filepath.Join(dir, "home")
	for _, d := range []string{home, filepath.Join(dir, "bin")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("make a place for kubectl: %w", err)
		}
	}
	config := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(config, []byte(r.Kubeconfig()), 0o600); err != nil {
		return fmt.Errorf("configure kubectl: %w", err)
	}
	wrapper := fmt.Sprintf("#!/bin/sh\nexec %q --kubeconfig=%q --namespace=%q \"$@\"\n", kubectl, config, namespace)
	if err := os.WriteFile(filepath.Join(dir, "bin", "kubectl"), []byte(wrapper), 0o700); err != nil { //nolint:gosec // it has to be executable
		return fmt.Errorf("make kubectl: %w", err)
	}
	environment := append(
		os.Environ(), "HOME="+home, "NS="+namespace, "KUBE_EDITOR=sed -i s/EDIT-ME/edited/",
		"PATH="+filepath.Join(dir, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"),
	)
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		r.Begin(line)
		if err := runLine(ctx, line, files, environment); err != nil {
			return err
		}
	}
	return nil
}

func runLine(ctx context.Context, line, dir string, environment []string) error {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir, cmd.Env = dir, environment
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return fmt.Errorf("%s: does not end: %s", line, shorten(string(out), shownBody))
	}
	if _, failed := err.(*exec.ExitError); err != nil && !failed {
		return fmt.Errorf("%s: %w", line, err)
	}
	return nil
}
