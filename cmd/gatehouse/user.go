package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/internal/datadir"
	"github.com/gatehouse/gatehouse/internal/pki"
)

const (
	defaultDataDir = "./gatehouse-data"
	// maxKubeconfigBytes bounds what is read of the administrator's kubeconfig.
	maxKubeconfigBytes = 1 << 20
)

func newUser() *cobra.Command {
	return newParent("user", "Issue identities", newUserCreate())
}

// userOptions are the flags of user create.
type userOptions struct {
	dataDir    string
	groups     []string
	kubeconfig string
	validity   time.Duration
}

func newUserCreate() *cobra.Command {
	var o userOptions
	const use = "create NAME"
	cmd := &cobra.Command{
		Use:   use,
		Short: "Issue a client certificate and write a kubeconfig for it",
		Long: `Issue a client certificate and write a kubeconfig for it.

The certificate is signed by the authority in the data directory of a server that has been
started once; it may be running. The user may do nothing until a role is bound to the name or to
one of the groups. The certificate is good until it expires, or until --deny-list-file of the server
names it.`,
		Example: "  gatehouse user create reader --group=auditors",
		Args:    arguments(1, 1, "gatehouse user "+use),
		RunE: func(cmd *cobra.Command, args []string) error {
			return createUser(cmd.OutOrStdout(), args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.dataDir, "data-dir", defaultDataDir, "data directory of the server")
	f.StringArrayVar(&o.groups, "group", nil, "group of the user, may be repeated")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "file to write, which must not exist (default NAME.kubeconfig in the data directory)")
	f.DurationVar(&o.validity, "validity", pki.LeafValidity, "how long the certificate is good for")
	return cmd
}

// maxUserName bounds the common name of a certificate (RFC 5280, appendix A.1), in bytes.
const maxUserName = 64

func createUser(stdout io.Writer, name string, o userOptions) error {
	if o.validity <= 0 {
		return usageError{fmt.Errorf("--validity=%v: want more than 0", o.validity)}
	}
	if len(name) > maxUserName {
		return usageError{fmt.Errorf("the name is %d bytes long, at most %d are possible", len(name), maxUserName)}
	}
	if slices.Contains(o.groups, "") {
		return usageError{errors.New("--group: it is empty")}
	}
	dir, err := datadir.Look(o.dataDir)
	if err != nil {
		return err
	}
	path := o.kubeconfig
	if path == "" {
		if strings.ContainsAny(name, "/:\\") || strings.HasPrefix(name, ".") {
			return usageError{fmt.Errorf("the name %q does not make a file name: choose a file with --kubeconfig", name)}
		}
		path = filepath.Join(filepath.Clean(o.dataDir), name+".kubeconfig")
	}
	switch _, err := os.Lstat(path); {
	case err == nil:
		return fmt.Errorf("%s exists: remove it, or choose another file with --kubeconfig", path)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	kubeconfig, err := issue(dir, name, o)
	if err != nil {
		return err
	}
	if err := pki.WriteFile(path, kubeconfig); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "wrote %s, good until %s\n", path, time.Now().Add(o.validity).UTC().Format(time.DateOnly))
	if slices.Contains(o.groups, api.GroupMasters) {
		fmt.Fprintf(stdout, "RBAC refuses members of %s nothing, and they are not rate limited; policies apply to them\n", api.GroupMasters)
	}
	fmt.Fprintf(stdout, "\n  kubectl --kubeconfig %s auth whoami\n", path)
	if len(o.groups) == 0 {
		admin := filepath.Join(filepath.Clean(o.dataDir), "admin.kubeconfig")
		fmt.Fprintf(stdout, "\n%[1]s may do nothing yet. To let it read, for example:\n\n"+
			"  kubectl --kubeconfig %[2]s create clusterrolebinding %[1]s --clusterrole=view --user=%[1]s\n", name, admin)
	}
	return nil
}

func issue(dir *datadir.Dir, name string, o userOptions) ([]byte, error) {
	server, err := serverOf(dir.Path("admin.kubeconfig"))
	if err != nil {
		return nil, err
	}
	authority, err := pki.OpenAuthority(dir.Path(), time.Now)
	if err != nil {
		return nil, err
	}
	pair, err := authority.ClientCert(pki.Client{Name: name, Groups: o.groups, Validity: o.validity})
	if err != nil {
		return nil, err
	}
	return authority.Kubeconfig(server, name, pair)
}

// serverOf returns the URL that a kubeconfig written by serve leads to.
func serverOf(path string) (string, error) {
	data, err := pki.ReadPrivate(path, maxKubeconfigBytes)
	if err != nil {
		return "", fmt.Errorf("%w: start the server once to have it written", err)
	}
	var config struct {
		Clusters []struct {
			Cluster struct {
				Server string `json:"server"`
			} `json:"cluster"`
		} `json:"clusters"`
	}
	if err := yaml.Unmarshal(data, &config); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	if len(config.Clusters) == 0 || config.Clusters[0].Cluster.Server == "" {
		return "", fmt.Errorf("%s names no server: start the server once to have it written again", path)
	}
	return config.Clusters[0].Cluster.Server, nil
}
