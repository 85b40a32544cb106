// Verifies a log from its files with golang.org/x/mod/sumdb alone, and the Ed25519 cosignatures of its newest checkpoint:
// go run . <archive> <earlier checkpoint or "-"> <vkey of a witness>…
// or disclosed frames: go run . <directory> disclosed
package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func check(err error) {
	must(0, err)
}

// Tiles as tlog-tiles files them: sumdb's own paths have the height, which is always 8, in them.
type files struct{ root string }

func (files) Height() int                           { return 8 }
func (files) SaveTiles(tiles []tlog.Tile, _ [][]byte) {}
func (f files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var read [][]byte
	for _, tile := range tiles {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		bytes, err := os.ReadFile(filepath.Join(f.root, "log", path))
		if err != nil {
			return nil, err
		}
		read = append(read, bytes)
	}
	return read, nil
}

func open(path string, verifier note.Verifier) tlog.Tree {
	signed := must(note.Open(must(os.ReadFile(path)), note.VerifierList(verifier)))
	lines := strings.Split(signed.Text, "\n")
	if lines[0] != verifier.Name() {
		check(fmt.Errorf("a checkpoint of %s", lines[0]))
	}
	var root tlog.Hash
	copy(root[:], must(base64.StdEncoding.DecodeString(lines[2])))
	return tlog.Tree{N: must(strconv.ParseInt(lines[1], 10, 64)), Hash: root}
}

// The entries of all entry bundles, in order.
func entries(root string, size int64) [][]byte {
	var all [][]byte
	for n := int64(0); n*256 < size; n++ {
		tile := tlog.Tile{H: 8, L: -1, N: n, W: 256}
		if size-n*256 < 256 {
			tile.W = int(size - n*256)
		}
		path := strings.Replace(tile.Path(), "tile/8/data/", "tile/entries/", 1)
		bundle := must(os.ReadFile(filepath.Join(root, "log", path)))
		for len(bundle) > 0 {
			length := int(binary.BigEndian.Uint16(bundle))
			all = append(all, bundle[2:2+length])
			bundle = bundle[2+length:]
		}
	}
	return all
}

type bundle struct {
	VerificationMaterial struct {
		TlogEntries []struct {
			LogIndex       string
			InclusionProof struct {
				Hashes     [][]byte
				Checkpoint struct{ Envelope string }
			}
			CanonicalizedBody []byte
		}
	}
}

// The proof that a stored bundle brings, against the checkpoint that it brings.
func proof(root string, index int64, verifier note.Verifier) []byte {
	var read bundle
	path := filepath.Join(root, "log", "entry", fmt.Sprintf("%d.sigstore.json", index))
	check(json.Unmarshal(must(os.ReadFile(path)), &read))
	entry := read.VerificationMaterial.TlogEntries[0]
	file := must(os.CreateTemp("", "checkpoint"))
	defer os.Remove(file.Name())
	must(file.WriteString(entry.InclusionProof.Checkpoint.Envelope))
	tree := open(file.Name(), verifier)
	var path32 tlog.RecordProof
	for _, hash := range entry.InclusionProof.Hashes {
		var fixed tlog.Hash
		copy(fixed[:], hash)
		path32 = append(path32, fixed)
	}
	check(tlog.CheckRecord(path32, tree.N, tree.Hash, index, tlog.RecordHash(entry.CanonicalizedBody)))
	if entry.LogIndex != strconv.FormatInt(index, 10) {
		check(fmt.Errorf("entry %d says that it is %s", index, entry.LogIndex))
	}
	return entry.CanonicalizedBody
}

// A witness's key for note.Open: C2SP tlog-cosignature of type 4, which sumdb's own verifiers do not know.
type witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (w witness) Name() string    { return w.name }
func (w witness) KeyHash() uint32 { return w.hash }
func (w witness) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	time := binary.BigEndian.Uint64(signature)
	message := append([]byte(fmt.Sprintf("cosignature/v1\ntime %d\n", time)), text...)
	return ed25519.Verify(w.key, message, signature[8:])
}

func witnessOf(vkey string) witness {
	parts := strings.SplitN(vkey, "+", 3)
	key := must(base64.StdEncoding.DecodeString(parts[2]))
	sum := sha256.Sum256(append([]byte(parts[0]+"\n"), key...))
	hash := binary.BigEndian.Uint32(sum[:])
	if fmt.Sprintf("%08x", hash) != parts[1] || key[0] != 4 {
		check(fmt.Errorf("%s is no vkey of type 4", vkey))
	}
	return witness{parts[0], hash, ed25519.PublicKey(key[1:])}
}

// A C2SP tlog-proof: the record's index, its path, and the checkpoint as text.
func tlogProof(path string) (int64, tlog.RecordProof, string) {
	head, checkpoint, _ := strings.Cut(string(must(os.ReadFile(path))), "\n\n")
	lines := strings.Split(head, "\n")
	if lines[0] != "c2sp.org/tlog-proof@v1" {
		check(fmt.Errorf("%s is not a tlog-proof", path))
	}
	index := must(strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64))
	var proof tlog.RecordProof
	for _, line := range lines[2:] {
		proof = append(proof, must(tlog.ParseHash(line)))
	}
	return index, proof, checkpoint
}

// What `steno disclose` gives away: the seal in the log, and each frame in the tree whose root the seal signs.
func disclosed(dir string) {
	verifier := must(note.NewVerifier(strings.TrimSpace(string(must(os.ReadFile(filepath.Join(dir, "trust", "log.vkey")))))))
	var seal struct {
		bundle
		DsseEnvelope struct{ Payload []byte }
	}
	check(json.Unmarshal(must(os.ReadFile(filepath.Join(dir, "seal.sigstore.json"))), &seal))
	index, path, checkpoint := tlogProof(filepath.Join(dir, "seal.tlog-proof"))
	file := must(os.CreateTemp("", "checkpoint"))
	defer os.Remove(file.Name())
	must(file.WriteString(checkpoint))
	tree := open(file.Name(), verifier)
	body := seal.VerificationMaterial.TlogEntries[0].CanonicalizedBody
	check(tlog.CheckRecord(path, tree.N, tree.Hash, index, tlog.RecordHash(body)))
	var statement struct {
		Predicate struct {
			Head struct {
				Origin   string
				Size     int64
				RootHash string
			}
		}
	}
	check(json.Unmarshal(seal.DsseEnvelope.Payload, &statement))
	head := statement.Predicate.Head
	root := must(tlog.ParseHash(head.RootHash))
	proofs := must(filepath.Glob(filepath.Join(dir, "frame-*.tlog-proof")))
	for _, name := range proofs {
		index, path, checkpoint := tlogProof(name)
		if checkpoint != fmt.Sprintf("%s\n%d\n%s\n\n", head.Origin, head.Size, head.RootHash) {
			check(fmt.Errorf("%s is of another tree than the seal's", name))
		}
		line := must(os.ReadFile(strings.TrimSuffix(name, "tlog-proof") + "json"))
		check(tlog.CheckRecord(path, head.Size, root, index, tlog.RecordHash(line)))
	}
	fmt.Printf("%d frames\n", len(proofs))
}

func main() {
	root := os.Args[1]
	if os.Args[2] == "disclosed" {
		disclosed(root)
		return
	}
	vkey := strings.TrimSpace(string(must(os.ReadFile(filepath.Join(root, "trust", "log.vkey")))))
	verifier := must(note.NewVerifier(vkey))
	tree := open(filepath.Join(root, "log", "checkpoint"), verifier)
	reader := tlog.TileHashReader(tree, files{root})
	bodies := entries(root, tree.N)
	if int64(len(bodies)) != tree.N {
		check(fmt.Errorf("%d entries in entry bundles, %d in the checkpoint", len(bodies), tree.N))
	}
	for index, body := range bodies {
		own := proof(root, int64(index), verifier)
		if string(own) != string(body) {
			check(fmt.Errorf("entry %d is not as its bundle has it", index))
		}
		check(tlog.CheckRecord(must(tlog.ProveRecord(tree.N, int64(index), reader)), tree.N, tree.Hash, int64(index), tlog.RecordHash(body)))
	}
	fmt.Printf("%d entries\n", tree.N)
	for _, vkey := range os.Args[3:] {
		own := witnessOf(vkey)
		// Opens when the witness's signature holds, and only then.
		must(note.Open(must(os.ReadFile(filepath.Join(root, "log", "checkpoint"))), note.VerifierList(own)))
		fmt.Printf("cosigned by %s\n", own.name)
	}
	if os.Args[2] != "-" {
		earlier := open(os.Args[2], verifier)
		check(tlog.CheckTree(must(tlog.ProveTree(tree.N, earlier.N, reader)), tree.N, tree.Hash, earlier.N, earlier.Hash))
		fmt.Printf("extends %d\n", earlier.N)
	}
}
