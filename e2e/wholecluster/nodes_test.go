package wholecluster_test

import (
	"fmt"
	"strings"
	"testing"
)

// nodesKeepToThemselves has the identities that kubelets have: a node reads what its own pods use and writes itself, and nothing
// of another node.
func nodesKeepToThemselves(w *whole, t *testing.T) {
	for _, node := range []string{"node-a", "node-b"} {
		if _, err := w.layout.Kubeconfig(node, "system:node:"+node, "system:nodes"); err != nil {
			t.Fatal(err)
		}
	}
	w.apply(t, "pinned.yaml")
	read := []string{"-n", shop, "get", "secret", "pinned", "-o=jsonpath={.data.key}"}
	eventually(t, func() string {
		if out, err := w.as(t, "node-a.conf", "", read...); err != nil || out != "dmFsdWU=" {
			return fmt.Sprintf("node-a to read the secret of its pod: %s, %v", out, err)
		}
		return ""
	})
	w.run(t, "-n", shop, "wait", "--for=condition=Ready", "pod/pinned", "--timeout="+patience.String())
	for _, c := range []struct {
		what, node, says string
		args             []string
	}{
		{"a secret of another node's pod", "node-b", "forbidden", read},
		{"all secrets", "node-a", "forbidden", []string{"-n", shop, "get", "secrets"}},
		{"another node", "node-b", "node 'node-b' cannot read 'node-a', only its own Node object", []string{"get", "node", "node-a"}},
		{"a label that attracts pods", "node-a", "is not allowed to modify labels", []string{"label", "node", "node-a", "node-restriction.kubernetes.io/a=b"}},
		{"a pod of another node", "node-b", "forbidden", []string{"-n", shop, "delete", "pod", "pinned"}},
	} {
		if out, err := w.as(t, c.node+".conf", "", c.args...); err == nil || !strings.Contains(out, c.says) {
			t.Errorf("%s and %s: %v, want a refusal that says %q\n%s", c.node, c.what, err, c.says, out)
		}
	}
	if out, err := w.as(t, "node-a.conf", "", "annotate", "node", "node-a", "example.org/a=b"); err != nil {
		t.Errorf("node-a and its own annotations: %v\n%s", err, out)
	}
	// It may not watch for the end of what is gone.
	if out, err := w.as(t, "node-a.conf", "", "-n", shop, "delete", "pod", "pinned", "--wait=false"); err != nil {
		t.Errorf("node-a and its own pod: %v\n%s", err, out)
	}
	w.run(t, "-n", shop, "wait", "--for=delete", "pod/pinned", "--timeout="+patience.String())
}
