package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	startDeadline = 2 * time.Minute
	// A port found free can be taken before it is used; the whole start is then tried again.
	startAttempts = 3
	// The last lines of the log of a component that failed.
	logTail = 4096
)

// auditPolicy writes one line per finished request, and one more at the start of each watch.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitManagedFields: true
omitStages: [RequestReceived]
rules:
- level: Metadata
`

// started is what the owner has to know, printed as one JSON line.
type started struct {
	Dir        string         `json:"dir"`
	Server     string         `json:"server"`
	CA         string         `json:"ca"`
	Kubeconfig string         `json:"kubeconfig"`
	AuditLog   string         `json:"auditLog"`
	Processes  map[string]int `json:"processes"`
}

type plane struct {
	assets, dir string
	children    map[string]*exec.Cmd
	ended       chan string
	// How to wait for the API server once more.
	server, token string
}

func run(arguments []string) error {
	flags := flag.NewFlagSet("run", flag.ExitOnError)
	assets := flags.String("assets", "", "the folder with etcd, kube-apiserver and kube-controller-manager")
	dir := flags.String("dir", "", "where data, logs and kubeconfig go; by default a temporary folder, removed at the end")
	_ = flags.Parse(arguments)

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	restore := make(chan os.Signal, 1)
	signal.Notify(restore, syscall.SIGUSR1)
	gone := ownerGone()

	if *dir == "" {
		temporary, err := os.MkdirTemp("", "testplane-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temporary)
		*dir = temporary
	}
	interrupted, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-stop:
		case <-gone:
		}
		cancel()
	}()

	var err error
	for range startAttempts {
		p := &plane{assets: *assets, dir: *dir, children: map[string]*exec.Cmd{}, ended: make(chan string, 3)}
		var ready *started
		if ready, err = p.start(interrupted); err == nil {
			defer p.kill()
			for {
				if err := json.NewEncoder(os.Stdout).Encode(ready); err != nil {
					return err
				}
				select {
				case <-interrupted.Done():
					return nil
				case <-restore:
					if err := p.restore(interrupted); err != nil {
						return err
					}
				case name := <-p.ended:
					return fmt.Errorf("%s ended by itself:\n%s", name, p.tail(name))
				}
			}
		}
		p.kill()
		if interrupted.Err() != nil {
			return nil
		}
	}
	return err
}

// start brings the three up, in a fresh state, and returns once the API server is ready.
func (p *plane) start(interrupted context.Context) (*started, error) {
	if err := os.RemoveAll(p.path("etcd")); err != nil {
		return nil, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	client, peer, server := "http://"+ports[0], "http://"+ports[1], "https://"+ports[2]
	_, port, _ := net.SplitHostPort(ports[2])

	tokens, adminToken, managerToken := tokenFile()
	key, err := signingKey()
	if err != nil {
		return nil, err
	}
	for name, content := range map[string][]byte{"tokens.csv": tokens, "sa.key": key, "audit-policy.yaml": []byte(auditPolicy)} {
		if err := os.WriteFile(p.path(name), content, 0o600); err != nil {
			return nil, err
		}
	}

	err = errors.Join(
		p.spawn("etcd",
			"--data-dir", p.path("etcd"), "--unsafe-no-fsync",
			"--listen-client-urls", client, "--advertise-client-urls", client,
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer),
		p.spawn("kube-apiserver",
			"--etcd-servers", client, "--bind-address", "127.0.0.1", "--secure-port", port, "--cert-dir", p.path("certs"),
			"--service-account-key-file", p.path("sa.key"), "--service-account-signing-key-file", p.path("sa.key"),
			"--service-account-issuer", "https://kubernetes.default.svc",
			"--token-auth-file", p.path("tokens.csv"), "--authorization-mode", "RBAC",
			"--service-cluster-ip-range", "10.0.0.0/24",
			// It would demand a kubelet's worth of controllers; tokens come by TokenRequest.
			"--disable-admission-plugins", "ServiceAccount",
			// Its own default is to begin a new file after 100 MB; whoever counts calls reads one.
			"--audit-policy-file", p.path("audit-policy.yaml"), "--audit-log-path", p.path("audit.log"), "--audit-log-maxsize", "0"))
	if err != nil {
		return nil, err
	}

	p.server, p.token = server, adminToken
	deadline, cancel := context.WithTimeout(interrupted, startDeadline)
	defer cancel()
	if err := p.awaitReady(deadline, server, adminToken); err != nil {
		return nil, err
	}
	ca := p.path("certs", "apiserver.crt")
	admin := p.path("admin.kubeconfig")
	if err := errors.Join(writeKubeconfig(admin, server, ca, adminToken), writeKubeconfig(p.path("manager.kubeconfig"), server, ca, managerToken)); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(p.assets, "kube-controller-manager")); err == nil {
		err = p.spawn("kube-controller-manager",
			"--kubeconfig", p.path("manager.kubeconfig"), "--leader-elect=false", "--secure-port", "0",
			"--controllers", "namespace-controller,garbage-collector-controller,serviceaccount-controller")
		if err != nil {
			return nil, err
		}
	} else {
		fmt.Fprintf(os.Stderr, "starter: %s has no kube-controller-manager: namespaces will never end here and owners' children stay\n", p.assets)
	}

	processes := map[string]int{}
	for name, child := range p.children {
		processes[name] = child.Process.Pid
	}
	return &started{Dir: p.dir, Server: server, CA: ca, Kubeconfig: admin, AuditLog: p.path("audit.log"), Processes: processes}, nil
}

// restore ends etcd and the API server and starts them again, with the data that stands in etcd.saved.
func (p *plane) restore(interrupted context.Context) error {
	names := []string{"kube-apiserver", "etcd"}
	old := map[string]*exec.Cmd{}
	for _, name := range names {
		old[name] = p.children[name]
		delete(p.children, name)
		_ = old[name].Process.Kill()
	}
	for range names {
		<-p.ended
	}
	if err := errors.Join(os.RemoveAll(p.path("etcd")), os.CopyFS(p.path("etcd"), os.DirFS(p.path("etcd.saved")))); err != nil {
		return err
	}
	for _, name := range []string{"etcd", "kube-apiserver"} {
		if err := p.spawn(name, old[name].Args[1:]...); err != nil {
			return err
		}
	}
	deadline, cancel := context.WithTimeout(interrupted, startDeadline)
	defer cancel()
	return p.awaitReady(deadline, p.server, p.token)
}

func (p *plane) path(parts ...string) string {
	return filepath.Join(append([]string{p.dir}, parts...)...)
}

func (p *plane) spawn(name string, arguments ...string) error {
	log, err := os.Create(p.path(name + ".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	child := exec.Command(filepath.Join(p.assets, name), arguments...)
	child.Stdout, child.Stderr = log, log
	// Everybody waits for the few cores that these have, and collecting garbage early takes a tenth to a quarter of them.
	child.Env = append([]string{"GOGC=400", "GOMEMLIMIT=3GiB"}, os.Environ()...)
	child.SysProcAttr = endsWithParent()
	if err := child.Start(); err != nil {
		return err
	}
	p.children[name] = child
	go func() {
		_ = child.Wait()
		p.ended <- name
	}()
	return nil
}

// kill ends everything at once: nothing of a test's control plane is worth an orderly end.
func (p *plane) kill() {
	for _, child := range p.children {
		_ = child.Process.Kill()
	}
	for range p.children {
		<-p.ended
	}
}

func (p *plane) awaitReady(deadline context.Context, server, token string) error {
	// The certificate is made by the server while it starts, so there is nothing to check it by yet.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	request, err := http.NewRequestWithContext(deadline, http.MethodGet, server+"/readyz", nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	for {
		if response, err := client.Do(request); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case name := <-p.ended:
			delete(p.children, name)
			return fmt.Errorf("%s ended before it was ready:\n%s", name, p.tail(name))
		case <-deadline.Done():
			return fmt.Errorf("kube-apiserver isn't ready after %s:\n%s", startDeadline, p.tail("kube-apiserver"))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (p *plane) tail(name string) string {
	log, err := os.ReadFile(p.path(name + ".log"))
	if err != nil {
		return err.Error()
	}
	return strings.ToValidUTF8(string(log[max(0, len(log)-logTail):]), "")
}

// freePorts finds addresses on loopback that are free, all held until the last is found.
func freePorts(count int) ([]string, error) {
	addresses := make([]string, count)
	for i := range addresses {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close()
		addresses[i] = listener.Addr().String()
	}
	return addresses, nil
}

// tokenFile makes the two users that exist from the start. Both may do everything, and the audit log tells them apart.
func tokenFile() (file []byte, admin, manager string) {
	token := func() string {
		random := make([]byte, 16)
		_, _ = rand.Read(random)
		return hex.EncodeToString(random)
	}
	admin, manager = token(), token()
	return fmt.Appendf(nil, "%s,admin,admin,system:masters\n%s,system:kube-controller-manager,manager,system:masters\n", admin, manager), admin, manager
}

func signingKey() ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), nil
}

func writeKubeconfig(path, server, ca, token string) error {
	certificate, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	return os.WriteFile(path, fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: testplane
  cluster: {server: %q, certificate-authority-data: %s}
users:
- name: user
  user: {token: %q}
contexts:
- name: testplane
  context: {cluster: testplane, user: user}
current-context: testplane
`, server, base64.StdEncoding.EncodeToString(certificate), token), 0o600)
}
