// Guarded withdrawals the way medici's README recommends, one after the other: node medici.js URI CALLS
// Prints the duration of each in milliseconds, as a JSON array.
const mongoose = require("mongoose");
const { Book, initModels, mongoTransaction } = require("medici");

async function main(uri, calls) {
  await mongoose.connect(uri);
  await mongoose.connection.dropDatabase();
  await initModels();
  const book = new Book("bench");
  await book.entry("grant").debit("Assets", 2 ** 40).credit("Accounts:acme", 2 ** 40).commit();
  const withdraw = (ref) =>
    mongoTransaction(async (session) => {
      await book.entry(ref).credit("Assets", 1).debit("Accounts:acme", 1).commit({ session });
      const after = await book.balance({ account: "Accounts:acme" }, { session });
      if (after.balance < 0) throw new Error("not enough");
      await book.writelockAccounts(["Accounts:acme"], { session });
    });
  for (let call = 0; call < 20; call++) await withdraw(`warm-${call}`);
  const taken = [];
  for (let call = 0; call < calls; call++) {
    const began = process.hrtime.bigint();
    await withdraw(`debit-${call}`);
    taken.push(Number(process.hrtime.bigint() - began) / 1e6);
  }
  await mongoose.disconnect();
  console.log(JSON.stringify(taken));
}

main(process.argv[2], Number(process.argv[3])).catch((problem) => {
  console.error(problem);
  process.exit(1);
});
