package wholecluster_test

import "testing"

// containerLog is in the format of the container runtimes, which is what kwok reads.
const containerLog = `2026-01-02T03:04:05.000000001Z stdout F first line
2026-01-02T03:04:06.000000001Z stderr F second line
2026-01-02T03:04:07.000000001Z stdout F third line
`

func logs(w *whole, t *testing.T) {
	pod := w.fields(t, "{.items[0].metadata.name}", "-n", shop, "pods", "-l", "app=web")[0]
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "first line\nsecond line\nthird line\n"},
		{[]string{"--tail=1"}, "third line\n"},
		{[]string{"--limit-bytes=5"}, "first"},
		{[]string{"--since-time=2026-01-02T03:04:06Z"}, "second line\nthird line\n"},
		{[]string{"--timestamps", "--tail=1"}, "2026-01-02T03:04:07.000000001Z third line\n"},
	} {
		if got := w.run(t, append([]string{"-n", shop, "logs", pod}, c.args...)...); got != c.want {
			t.Errorf("logs %v: %q, want %q", c.args, got, c.want)
		}
	}
	w.refused(t, "container nobody is not valid for pod", "", "-n", shop, "logs", pod, "-c", "nobody")
}

func execs(w *whole, t *testing.T) {
	pod := w.fields(t, "{.items[0].metadata.name}", "-n", shop, "pods", "-l", "app=web")[0]
	if got := w.run(t, "-n", shop, "exec", pod, "--", "sh", "-c", "echo out"); got != "out\n" {
		t.Errorf("exec: %q", got)
	}
	w.execStreams(t, pod)
	// The older protocol, SPDY, which kubectl spoke alone before 1.31.
	w.env = []string{"KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false"}
	defer func() { w.env = nil }()
	w.execStreams(t, pod)
}

// execStreams runs commands that end by themselves, since kwok does not tell them that their input has ended.
func (w *whole) execStreams(t *testing.T, pod string) {
	t.Helper()
	got, err := w.try(t, "from stdin\n", "-n", shop, "exec", "-i", pod, "--", "head", "-n", "1")
	if err != nil || got != "from stdin\n" {
		t.Errorf("exec -i: %q, %v", got, err)
	}
	// kwok reports an exit code as a text, where a kubelet would send it as a number.
	w.refused(t, "exit status 3", "", "-n", shop, "exec", pod, "--", "sh", "-c", "exit 3")
}
